# services.nix-upload for NixOS. The units are those in systemd/, by way of the package; what is here are drop-ins to them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.nix-upload;
  inherit (cfg.settings) spool gcroots;
  isDaemon = cfg.mode == "daemon";
  service = if isDaemon then "nix-upload" else "nix-upload-drain";

  credential = destination: kind: "${destination}.${kind}";
  destinations = lib.attrsToList cfg.destinations;
  credentials = lib.concatMap (
    { name, value }:
    lib.optional (value.secretKeyFile != null) "${credential name "key"}:${value.secretKeyFile}"
    ++ lib.optional (value.netrcFile != null) "${credential name "netrc"}:${value.netrcFile}"
  ) destinations;
  environmentFiles = lib.unique (
    lib.concatMap ({ value, ... }: lib.optional (value.environmentFile != null) value.environmentFile) destinations
  );
  # A cache in a directory of this machine is all that the service may write to beside its spool.
  localCaches = lib.concatMap (
    { value, ... }:
    let
      match = builtins.match "file://(/[^?]*).*" (if value.to == null then "" else value.to);
    in
    lib.optional (match != null) (lib.head match)
  ) destinations;
  directory = path: "d ${path} 0755 nix-upload nix-upload -";
in
{
  imports = [ ./options.nix ];

  options.services.nix-upload.mode = lib.mkOption {
    type = lib.types.enum [
      "daemon"
      "path"
    ];
    default = "daemon";
    description = ''
      `daemon`: a resident process, for a machine that builds all day. `path`: none, but one that systemd starts when
      something is queued and that ends when all is delivered.
    '';
  };

  config = lib.mkIf cfg.enable {
    services.nix-upload.secretName = destination: kind: _path: "credential:${credential destination kind}";

    users.users.nix-upload = {
      isSystemUser = true;
      group = "nix-upload";
      home = "/var/lib/nix-upload";
      description = "Upload queue of Nix's post-build-hook";
    };
    users.groups.nix-upload = { };

    systemd.packages = [ cfg.package ];
    systemd.tmpfiles.rules = map directory (
      [ spool ]
      ++ map (name: "${spool}/${name}") [
        "tmp"
        "new"
        "cur"
        "done"
        "failed"
      ]
      ++ lib.optional (gcroots != "") gcroots
      ++ lib.optional (!(cfg.finalSettings ? destination)) "${spool}-cache"
      ++ localCaches
    );

    systemd.services.${service} = {
      wantedBy = lib.mkIf isDaemon [ "multi-user.target" ];
      restartTriggers = [ cfg.configFile ];
      # PATH: the Nix of this machine, and what a `command` of the user's may need.
      path = [ config.nix.package ];
      unitConfig.RequiresMountsFor = [ spool ];
      serviceConfig = {
        # The empty one takes back what the unit says, as that may not be there.
        ReadWritePaths = [
          ""
          spool
        ]
        ++ lib.optional (gcroots != "") "-${gcroots}" ++ map (path: "-${path}") localCaches;
      }
      // lib.optionalAttrs (credentials != [ ]) { LoadCredential = credentials; }
      // lib.optionalAttrs (environmentFiles != [ ]) { EnvironmentFile = environmentFiles; };
    };

    systemd.paths.nix-upload-drain = lib.mkIf (!isDaemon) {
      wantedBy = [ "multi-user.target" ];
      # The empty one takes back what the unit says.
      pathConfig = lib.optionalAttrs (spool != "/var/spool/nix-upload") {
        DirectoryNotEmpty = [
          ""
          "${spool}/new"
        ];
      };
    };
    systemd.timers.nix-upload-drain = lib.mkIf (!isDaemon) { wantedBy = [ "timers.target" ]; };
  };
}

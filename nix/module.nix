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
  storeUrl = import ./store-url.nix { inherit lib; };

  credential = destination: kind: "${destination}.${kind}";
  ofDestinations =
    option: kind:
    lib.concatMapAttrs (
      name: d: lib.optionalAttrs (d.${option} != null) { ${credential name kind} = d.${option}; }
    ) cfg.destinations;
  credentials =
    cfg.credentials
    // ofDestinations "secretKeyFile" "key"
    // ofDestinations "netrcFile" "netrc"
    // ofDestinations "sshKeyFile" "ssh"
    // ofDestinations "awsCredentialsFile" "aws";
  environmentFiles = lib.unique (
    lib.concatMap (d: lib.optional (d.environmentFile != null) d.environmentFile) (lib.attrValues cfg.destinations)
  );

  # systemd reads `%` as the beginning of a specifier, and lists of paths word by word.
  literal = lib.replaceStrings [ "%" ] [ "%%" ];
  word =
    text:
    if builtins.match "[A-Za-z0-9/._+:@=,-]*" text != null then
      text
    else
      "\"${literal (lib.escape [ "\"" "\\" ] text)}\"";

  # tmpfiles.d(5): a directory that is there keeps what is behind a colon.
  ours = path: "d ${word path} :0755 nix-upload nix-upload -";
  anybodys = path: "d ${word path} :0755 :nix-upload :nix-upload -";

  # Out of the service's sight by ProtectHome= and PrivateTmp=, so they are mounted there.
  hidden = builtins.filter (
    path:
    builtins.any (place: lib.hasPrefix "${place}/" path) [
      "/home"
      "/root"
      "/run/user"
      "/tmp"
      "/var/tmp"
    ]
  ) ([ spool ] ++ cfg.directories);

  sshDestinations = lib.filterAttrs (
    _: d: d.sshKeyFile != null && d.to != null && storeUrl.sshTarget d.to != null
  ) cfg.destinations;
  sshSection =
    name: d:
    let
      target = storeUrl.sshTarget d.to;
      user = lib.optionalString (target.user != null) " user ${target.user}";
    in
    ''
      Match localuser nix-upload originalhost ${target.host}${user}
        IdentityFile "''${CREDENTIALS_DIRECTORY}/${credential name "ssh"}"
        IdentitiesOnly yes
    '';
in
{
  imports = [ ./options.nix ];

  options.services.nix-upload = {
    mode = lib.mkOption {
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

    credentials = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = {
        attic-token = "/run/secrets/attic-token";
      };
      description = ''
        More secret files for the service, by name. In `settings` and `destinations`, `"credential:NAME"` stands for such
        a file where the configuration takes one; a `command` finds it as `$CREDENTIALS_DIRECTORY/NAME`; and
        `''${config.services.nix-upload.credentialsDirectory}/NAME` is its path.
      '';
    };

    credentialsDirectory = lib.mkOption {
      type = lib.types.str;
      readOnly = true;
      description = "Where the service finds its credentials, for what needs a path, such as a parameter of a store URL.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.nix-upload = {
      secretName = destination: kind: _path: "credential:${credential destination kind}";
      secretFiles = lib.mapAttrs' (name: file: lib.nameValuePair "credentials.${name}" [ file ]) cfg.credentials;
      credentialsDirectory = "/run/credentials/${service}.service";
    };

    assertions = [
      {
        assertion = config.nix.daemonUser == "root";
        message = "services.nix-upload: with nix.daemonUser = \"${config.nix.daemonUser}\" the hook, which runs as that user, can't write to the spool. Set nix.daemonUser to \"root\", or don't enable nix-upload here.";
      }
    ];

    users.users.nix-upload = {
      isSystemUser = true;
      group = "nix-upload";
      home = "/var/lib/nix-upload";
      description = "Upload queue of Nix's post-build-hook";
    };
    users.groups.nix-upload = { };

    # Where only some may talk to nix-daemon, the service is one of them.
    # (Not in nix.settings, as what is in there can't depend on what else is.)
    nix.extraOptions = lib.mkIf (!(lib.elem "*" config.nix.settings.allowed-users)) ''
      extra-allowed-users = nix-upload
    '';

    programs.ssh.extraConfig = lib.mkIf (sshDestinations != { }) (
      lib.mkAfter ''
        # The keys that nix-upload's destinations have.
        ${lib.concatStrings (lib.mapAttrsToList sshSection sshDestinations)}Match all
      ''
    );

    systemd.packages = [ cfg.package ];
    systemd.tmpfiles.rules =
      map ours (
        [ spool ]
        ++ map (name: "${spool}/${name}") [
          "tmp"
          "new"
          "cur"
          "done"
          "failed"
        ]
        ++ lib.optional (gcroots != "") gcroots
      )
      ++ map anybodys cfg.directories;

    systemd.services.${service} = {
      wantedBy = lib.mkIf isDaemon [ "multi-user.target" ];
      restartTriggers = [ cfg.configFile ];
      # PATH: the Nix and the ssh of this machine, and what a `command` of the user's may need.
      path = [
        config.nix.package
        config.programs.ssh.package
      ];
      environment =
        config.networking.proxy.envVars
        // lib.optionalAttrs (cfg.awsConfigFile != null) { AWS_CONFIG_FILE = "${cfg.awsConfigFile}"; };
      unitConfig.RequiresMountsFor = map word ([ spool ] ++ cfg.directories);
      serviceConfig = {
        # The empty one takes back what the unit says, as that may not be there.
        ReadWritePaths = [
          ""
          (word spool)
        ]
        ++ map (path: word "-${path}") (lib.optional (gcroots != "") gcroots ++ cfg.directories);
      }
      // lib.optionalAttrs (hidden != [ ]) {
        ProtectHome = "tmpfs";
        BindPaths = map (path: word "-${path}") hidden;
      }
      // lib.optionalAttrs (credentials != { }) {
        LoadCredential = lib.mapAttrsToList (name: file: "${name}:${literal file}") credentials;
      }
      // lib.optionalAttrs (environmentFiles != [ ]) { EnvironmentFile = map literal environmentFiles; };
    };

    systemd.paths.nix-upload-drain = lib.mkIf (!isDaemon) {
      wantedBy = [ "multi-user.target" ];
      unitConfig.RequiresMountsFor = [ (word spool) ];
      # The empty one takes back what the unit says.
      pathConfig = lib.optionalAttrs (spool != "/var/spool/nix-upload") {
        DirectoryNotEmpty = [
          ""
          (literal "${spool}/new")
        ];
      };
    };
    systemd.timers.nix-upload-drain = lib.mkIf (!isDaemon) { wantedBy = [ "timers.target" ]; };
  };
}

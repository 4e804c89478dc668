# services.nix-upload for nix-darwin. Evaluated with nix-darwin, and never run: there was no Mac to run it on. launchd's
# QueueDirectories is what a .path unit is: it starts the job while new/ is not empty, at most every ThrottleInterval.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.nix-upload;
  inherit (cfg.settings) spool gcroots;
  environmentFiles = lib.concatMap (d: lib.optional (d.environmentFile != null) d.environmentFile) (
    lib.attrValues cfg.destinations
  );
in
{
  imports = [ ./options.nix ];

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = environmentFiles == [ ];
        message = "services.nix-upload: launchd knows no environment files. For S3, use awsCredentialsFile.";
      }
    ];

    # As root, like nix-daemon: secrets are read where they are.
    launchd.daemons.nix-upload = {
      script = ''
        # Where Nix is another installer's, it is in its profile. mkdir and ssh are the system's.
        export PATH=$PATH:/nix/var/nix/profiles/default/bin:/usr/bin:/bin:/usr/sbin:/sbin
        mkdir -p ${lib.escapeShellArgs ([ spool ] ++ lib.optional (gcroots != "") gcroots ++ cfg.directories)}
        exec ${cfg.package}/bin/nix-upload drain --linger 1h
      '';
      path = lib.optional config.nix.enable config.nix.package;
      serviceConfig = {
        QueueDirectories = [ "${spool}/new" ];
        # launchd watches a directory only from when it is there; this also takes up what no event tells of.
        RunAtLoad = true;
        StartInterval = 600;
        ThrottleInterval = 30;
        ExitTimeOut = 90;
        ProcessType = "Background";
        LowPriorityIO = true;
        Nice = 19;
        StandardErrorPath = "/var/log/nix-upload.log";
        EnvironmentVariables = {
          HOME = "/var/root";
        }
        // lib.optionalAttrs (cfg.awsConfigFile != null) { AWS_CONFIG_FILE = "${cfg.awsConfigFile}"; };
      };
    };
  };
}

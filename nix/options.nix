# What services.nix-upload has on NixOS and nix-darwin alike: the options, and the configuration file made of them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.nix-upload;
  toml = pkgs.formats.toml { };

  file =
    what:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/${what}";
      description = ''
        A file on the machine, as a string (a path literal would be copied into the store, where everybody can read
        it): what `config.sops.secrets.NAME.path` or `config.age.secrets.NAME.path` is.
      '';
    };

  destination = types.submodule {
    freeformType = toml.type;
    options = {
      to = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "s3://example-nix-cache?region=eu-west-1";
        description = "The store URL. Either this or `command`.";
      };
      command = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [
          "attic"
          "push"
          "main"
        ];
        description = "A program that takes store paths, and its arguments.";
      };
      secretKeyFile = file "cache-key";
      netrcFile = file "netrc";
      environmentFile = file "aws" // {
        description = ''
          A file of `NAME=value` lines, `AWS_ACCESS_KEY_ID` for instance, for the environment of the service. It has
          one environment, so two destinations can't have different values of one variable.
        '';
      };
    };
  };

  # TOML has no null.
  withoutNulls = lib.filterAttrs (_: value: value != null);
in
{
  options.services.nix-upload = {
    enable = lib.mkEnableOption "nix-upload, a queue that uploads what Nix builds";

    package = mkOption {
      type = types.package;
      default = pkgs.nix-upload or (pkgs.extend (import ./overlay.nix)).nix-upload;
      defaultText = lib.literalExpression "pkgs.nix-upload";
      description = "The package.";
    };

    settings = mkOption {
      default = { };
      example = {
        keep-done = "30d";
        log-level = "debug";
      };
      description = "What is in the configuration file above the destinations: docs/CONFIGURATION.md has every key.";
      type = types.submodule {
        freeformType = toml.type;
        options = {
          spool = mkOption {
            type = types.strMatching "/.+[^/]";
            default = "/var/spool/nix-upload";
            description = "The spool. The hook gets it too.";
          };
          gcroots = mkOption {
            type = types.str;
            default = "/nix/var/nix/gcroots/nix-upload";
            description = "The GC-root directory, or `\"\"` for none. The hook gets it too.";
          };
        };
      };
    };

    destinations = mkOption {
      type = types.attrsOf destination;
      default = { };
      example = lib.literalExpression ''
        {
          s3 = {
            to = "s3://example-nix-cache?region=eu-west-1";
            secretKeyFile = config.sops.secrets.cache-key.path;
            environmentFile = config.sops.secrets.aws.path;
            exclude = [ "*-source" "nixos-system-*" ];
          };
        }
      '';
      description = "Where uploads go, by name, with the keys of docs/CONFIGURATION.md. Without any: a folder beside the spool.";
    };

    hook = {
      enable = lib.mkEnableOption "Nix's post-build-hook for everything that is built here" // {
        default = true;
      };
      strict = lib.mkEnableOption "stopping a build whose result can't be queued";
    };

    configFile = mkOption {
      type = types.path;
      internal = true;
      readOnly = true;
      description = "The configuration file, checked when it is built.";
    };

    finalSettings = mkOption {
      type = toml.type;
      internal = true;
      readOnly = true;
      description = "What is in it.";
    };

    hookProgram = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      description = "What Nix runs.";
    };

    # How a secret file is named in the configuration file: services that get credentials set this.
    secretName = mkOption {
      type = types.functionTo (types.functionTo (types.functionTo types.str));
      internal = true;
      default = _destination: _kind: path: path;
      description = "From destination, kind and path.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.nix-upload = {
      finalSettings =
        let
          own = [
            "secretKeyFile"
            "netrcFile"
            "environmentFile"
          ];
          section =
            name: d:
            withoutNulls (
              removeAttrs d own
              // {
                inherit name;
              }
              // lib.optionalAttrs (d.secretKeyFile != null) {
                secret-key-file = cfg.secretName name "key" d.secretKeyFile;
              }
              // lib.optionalAttrs (d.netrcFile != null) {
                netrc-file = cfg.secretName name "netrc" d.netrcFile;
              }
            );
          sections = (cfg.settings.destination or [ ]) ++ lib.mapAttrsToList section cfg.destinations;
        in
        cfg.settings // lib.optionalAttrs (sections != [ ]) { destination = sections; };

      configFile = pkgs.runCommand "nix-upload.toml" { } ''
        cp ${toml.generate "nix-upload-unchecked.toml" cfg.finalSettings} $out
        ${cfg.package}/bin/nix-upload check-config $out
      '';

      hookProgram =
        let
          isPlain =
            cfg.settings.spool == "/var/spool/nix-upload"
            && cfg.settings.gcroots == "/nix/var/nix/gcroots/nix-upload"
            && !cfg.hook.strict;
          script = pkgs.writeScript "nix-upload-hook" ''
            #!${pkgs.runtimeShell}
            NIX_UPLOAD_SPOOL=${lib.escapeShellArg cfg.settings.spool}
            NIX_UPLOAD_GCROOTS=${lib.escapeShellArg cfg.settings.gcroots}
            NIX_UPLOAD_STRICT=${if cfg.hook.strict then "1" else "0"}
            export NIX_UPLOAD_SPOOL NIX_UPLOAD_GCROOTS NIX_UPLOAD_STRICT
            exec ${cfg.package}/bin/nix-upload-hook
          '';
        in
        if isPlain then "${cfg.package}/bin/nix-upload-hook" else "${script}";
    };

    environment.etc."nix-upload/config.toml".source = cfg.configFile;
    environment.systemPackages = [ cfg.package ];
    nix.settings.post-build-hook = lib.mkIf cfg.hook.enable cfg.hookProgram;

    assertions =
      let
        inStore = path: lib.hasPrefix "${builtins.storeDir}/" path;
        secretsOf =
          d:
          builtins.filter (value: value != null) [
            (d.secretKeyFile or null)
            (d.netrcFile or null)
            (d.environmentFile or null)
            (d.secret-key-file or null)
            (d.netrc-file or null)
          ];
        places =
          lib.mapAttrsToList (name: d: {
            where = "services.nix-upload.destinations.${name}";
            inherit d;
          }) cfg.destinations
          ++ map (d: {
            where = "services.nix-upload.settings.destination";
            inherit d;
          }) (cfg.settings.destination or [ ]);
      in
      lib.concatMap (
        { where, d }:
        map (path: {
          assertion = !inStore path;
          message = "${where}: ${path} lies in the Nix store, where everybody can read it; give the path of a file on the machine, as a string.";
        }) (secretsOf d)
      ) places
      ++ lib.mapAttrsToList (name: d: {
        assertion = (d.to == null) != (d.command == null);
        message = "services.nix-upload.destinations.${name}: expected either `to` or `command`.";
      }) cfg.destinations;
  };
}

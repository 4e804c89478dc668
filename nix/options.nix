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
  storeUrl = import ./store-url.nix { inherit lib; };

  secret =
    example: description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit example;
      description = ''
        ${description} A file on the machine, as a string: what `config.sops.secrets.NAME.path` or
        `config.age.secrets.NAME.path` is. (A path literal would be copied into the store, where everybody can read it.)
      '';
    };

  # Options of a destination that are no keys of the configuration file.
  own = [
    "secretKeyFile"
    "netrcFile"
    "sshKeyFile"
    "awsCredentialsFile"
    "environmentFile"
  ];

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
      secretKeyFile = secret "/run/secrets/cache-key" "The secret key to sign with.";
      netrcFile = secret "/run/secrets/netrc" "User names and passwords for http.";
      sshKeyFile = secret "/run/secrets/ssh-key" "The private key that ssh logs in with.";
      awsCredentialsFile = secret "/run/secrets/aws" ''
        The S3 credentials of this destination: a file of AWS's, with `aws_access_key_id` and
        `aws_secret_access_key`, or lines of the form `AWS_ACCESS_KEY_ID=…`.
      '';
      environmentFile = secret "/run/secrets/environment" ''
        Lines of the form `NAME=value`, for the environment of the service. All destinations share that environment.
      '';
    };
  };

  # TOML has no null.
  withoutNulls = lib.filterAttrs (_: value: value != null);

  secretName = name: kind: path: cfg.secretName name kind path;
  awsProfile = name: "nix-upload-${name}";
  withAws = lib.filterAttrs (_: d: d.awsCredentialsFile != null) cfg.destinations;

  # The URL with what this module adds to it.
  urlOf =
    name: d:
    let
      key = secretName name "ssh" d.sshKeyFile;
      # Services that get credentials have ssh look for the key by itself: its path depends on the unit.
      withKey =
        url:
        if d.sshKeyFile == null || lib.hasPrefix "credential:" key then
          url
        else
          storeUrl.withParameter "ssh-key" key url;
      withProfile =
        url: if d.awsCredentialsFile == null then url else storeUrl.withParameter "profile" (awsProfile name) url;
    in
    if d.to == null then null else withProfile (withKey d.to);

  section =
    name: d:
    withoutNulls (
      removeAttrs d own
      // {
        inherit name;
        to = urlOf name d;
      }
      // lib.optionalAttrs (d.secretKeyFile != null) {
        secret-key-file = secretName name "key" d.secretKeyFile;
      }
      // lib.optionalAttrs (d.netrcFile != null) { netrc-file = secretName name "netrc" d.netrcFile; }
    );
  sections = cfg.settings.destination ++ lib.mapAttrsToList section cfg.destinations;

  # The one that is built in.
  defaultUrl = "file://${cfg.settings.spool}-cache";
  urls = if sections == [ ] then [ defaultUrl ] else lib.concatMap (d: lib.optional (d ? to) d.to) sections;
in
{
  options.services.nix-upload = {
    enable = lib.mkEnableOption "nix-upload, a queue that uploads what Nix builds";

    package = mkOption {
      type = types.package;
      default = pkgs.nix-upload or (pkgs.callPackage ./package.nix { });
      defaultText = lib.literalExpression "pkgs.nix-upload, or the one of this module's source";
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
            type = types.strMatching "/.*[^/]";
            default = "/var/spool/nix-upload";
            description = "The spool. The hook gets it too.";
          };
          gcroots = mkOption {
            type = types.str;
            default = "/nix/var/nix/gcroots/nix-upload";
            description = "The GC-root directory, or `\"\"` for none. The hook gets it too.";
          };
          destination = mkOption {
            type = types.listOf toml.type;
            default = [ ];
            description = "Destinations as the file has them. Use `destinations` instead where there are secrets.";
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
            awsCredentialsFile = config.sops.secrets.aws.path;
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

    hookProgram = mkOption {
      type = types.str;
      readOnly = true;
      description = "The program to set as `post-build-hook`, or to call from a hook of your own, where `hook.enable` is off.";
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

    directories = mkOption {
      type = types.listOf types.str;
      internal = true;
      readOnly = true;
      description = "The directories of this machine that uploads and metrics are written to, beside spool and GC roots.";
    };

    awsConfigFile = mkOption {
      type = types.nullOr types.path;
      internal = true;
      readOnly = true;
      description = "A configuration file of AWS's with a profile for each `awsCredentialsFile`. It says where the secrets are.";
    };

    secretFiles = mkOption {
      type = types.attrsOf (types.listOf types.anything);
      internal = true;
      description = "Files that nobody else may read, by the option that names them.";
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
        removeAttrs cfg.settings [ "destination" ]
        // lib.optionalAttrs (sections != [ ]) { destination = sections; };

      directories = lib.unique (
        lib.concatMap storeUrl.directories urls
        ++ lib.optional (cfg.settings ? metrics-file) (builtins.dirOf cfg.settings.metrics-file)
      );

      configFile =
        let
          # A system that is built for another platform is checked by a program that runs on this one.
          canRun = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
          program = if canRun then cfg.package else pkgs.buildPackages.callPackage ./package.nix { };
        in
        pkgs.runCommand "nix-upload.toml" { } ''
          cp ${toml.generate "nix-upload-unchecked.toml" cfg.finalSettings} $out
          ${program}/bin/nix-upload check-config $out
        '';

      awsConfigFile =
        let
          program = "${pkgs.runtimeShell} ${./aws-credentials.sh}";
          profile = name: d: ''
            [profile ${awsProfile name}]
            credential_process = ${program} ${lib.escapeShellArg (secretName name "aws" d.awsCredentialsFile)}
          '';
        in
        if withAws == { } then
          null
        else
          pkgs.writeText "nix-upload-aws-config" (lib.concatStringsSep "\n" (lib.mapAttrsToList profile withAws));

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

      secretFiles =
        let
          secretsOf =
            d:
            map (key: d.${key} or null) (
              own
              ++ [
                "secret-key-file"
                "netrc-file"
              ]
            )
            ++ storeUrl.secretFiles (if d.to or null == null then "" else d.to);
          present = d: builtins.filter (value: value != null) (secretsOf d);
        in
        lib.mapAttrs' (name: d: lib.nameValuePair "destinations.${name}" (present d)) cfg.destinations
        // {
          "settings.destination" = lib.concatMap present cfg.settings.destination;
        };
    };

    environment.etc."nix-upload/config.toml".source = cfg.configFile;
    environment.systemPackages = [ cfg.package ];
    nix.settings = lib.mkIf (cfg.hook.enable && config.nix.enable) { post-build-hook = cfg.hookProgram; };

    assertions =
      let
        isInStore = path: lib.hasPrefix "${builtins.storeDir}/" path;
        inEtc =
          path:
          let
            name = lib.removePrefix "/etc/" path;
          in
          lib.hasPrefix "/etc/" path
          && config.environment.etc ? ${name}
          && isInStore (toString config.environment.etc.${name}.source);
        # A path literal is copied there when the configuration file is made.
        isPublic = file: builtins.isPath file || isInStore file || inEtc file;

        forDestination = name: d: [
          {
            assertion = builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,63}" name != null;
            message = "services.nix-upload.destinations.\"${name}\": a name has letters, digits, `.`, `-` and `_` only.";
          }
          {
            assertion = (d.to == null) != (d.command == null);
            message = "services.nix-upload.destinations.${name}: expected either `to` or `command`.";
          }
          {
            assertion = d.sshKeyFile == null || (d.to != null && storeUrl.sshTarget d.to != null);
            message = "services.nix-upload.destinations.${name}.sshKeyFile: only for a `to` that begins with ssh:// or ssh-ng://.";
          }
          {
            assertion =
              d.awsCredentialsFile == null
              || (d.to != null && lib.hasPrefix "s3://" d.to && !(storeUrl.parameters d.to ? profile));
            message = "services.nix-upload.destinations.${name}.awsCredentialsFile: only for a `to` that begins with s3:// and has no profile of its own.";
          }
        ];

        hookInText = builtins.any (line: builtins.match "[[:space:]]*post-build-hook[[:space:]]*=.*" line != null) (
          lib.splitString "\n" config.nix.extraOptions
        );
        hookHere = config.nix.settings.post-build-hook or null;
        insteadOf = "Turn services.nix-upload.hook.enable off, and have your hook run ${cfg.hookProgram} (config.services.nix-upload.hookProgram) too.";
        forHook = lib.optionals cfg.hook.enable (
          if config.nix.enable then
            [
              {
                assertion = !hookInText;
                message = "services.nix-upload: nix.extraOptions sets another post-build-hook, and Nix has only one. ${insteadOf}";
              }
              {
                assertion = toString hookHere == cfg.hookProgram;
                message = "services.nix-upload: nix.settings.post-build-hook is ${toString hookHere}, and Nix has only one. ${insteadOf}";
              }
            ]
          else
            [
              {
                assertion = false;
                message = "services.nix-upload: with nix.enable = false, nix.conf is not made by this configuration. Turn services.nix-upload.hook.enable off, and put \"post-build-hook = /run/current-system/sw/bin/nix-upload-hook\" into the nix.conf that is in use (Determinate Nix: /etc/nix/nix.custom.conf). Where settings.spool, settings.gcroots or hook.strict are set, put config.services.nix-upload.hookProgram there instead.";
              }
            ]
        );
      in
      lib.concatLists (
        lib.mapAttrsToList (
          where: files:
          map (file: {
            assertion = !isPublic file;
            message = "services.nix-upload.${where}: ${toString file} lies in the Nix store, where everybody can read it, or would be copied there; give the path of a file on the machine, as a string.";
          }) files
        ) cfg.secretFiles
      )
      ++ lib.concatLists (lib.mapAttrsToList forDestination cfg.destinations)
      ++ forHook;
  };
}

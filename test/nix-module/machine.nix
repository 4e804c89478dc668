# What the modules get from NixOS and nix-darwin, as far as they use it: the options that they set, with loose types, and
# packages that are not built. The units' own text comes from the package, so it is not here.
{ lib }:
let
  inherit (lib) mkOption types;
  anything = types.attrsOf types.anything;
  any = mkOption {
    type = anything;
    default = { };
  };
  list = mkOption {
    type = types.listOf types.anything;
    default = [ ];
  };
  unitsWith =
    sections:
    mkOption {
      type = types.attrsOf (
        types.submodule {
          freeformType = anything;
          options = lib.listToAttrs (
            map (name: {
              inherit name;
              value = any;
            }) sections
          );
        }
      );
      default = { };
    };

  value = types.nullOr types.anything;
  text = mkOption {
    type = types.lines;
    default = "";
  };
  setTo =
    default:
    mkOption {
      type = types.anything;
      inherit default;
    };

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "${builtins.storeDir}/00000000000000000000000000000000-${name}";
    drvPath = "${builtins.storeDir}/00000000000000000000000000000000-${name}.drv";
  };
in
{
  inherit package;

  options = {
    assertions = list;
    environment.etc = any;
    environment.systemPackages = list;
    networking.proxy.envVars = any;
    nix.enable = setTo true;
    nix.daemonUser = setTo "root";
    nix.daemonGroup = setTo "root";
    nix.extraOptions = text;
    nix.package = setTo (package "nix");
    nix.settings = mkOption {
      type = types.submodule {
        freeformType = anything;
        options.allowed-users = setTo [ "*" ];
      };
      default = { };
    };
    programs.ssh.package = setTo (package "openssh");
    programs.ssh.extraConfig = text;
    users.users = any;
    users.groups = any;
    systemd.packages = list;
    systemd.tmpfiles.rules = list;
    systemd.services = unitsWith [ "serviceConfig" "unitConfig" "environment" ];
    systemd.paths = unitsWith [ "pathConfig" "unitConfig" ];
    systemd.timers = unitsWith [ ];
    launchd.daemons = unitsWith [ ];
  };

  pkgs = {
    nix-upload = package "nix-upload";
    runtimeShell = "/bin/sh";
    formats.toml = _: {
      type = types.attrsOf value;
      generate = name: content: package name // { inherit content; };
    };
    runCommand = name: _: buildCommand: package name // { inherit buildCommand; };
    writeScript = name: text: package name // { inherit text; };
    writeText = name: text: package name // { inherit text; };
    stdenv.buildPlatform.canExecute = _: true;
    stdenv.hostPlatform = { };
  };
}

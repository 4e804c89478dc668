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
  unit = types.attrsOf (types.submodule { freeformType = anything; });
  units = mkOption {
    type = unit;
    default = { };
  };

  value = types.nullOr types.anything;
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
    nix.package = mkOption {
      type = types.anything;
      default = package "nix";
    };
    nix.settings = any;
    users.users = any;
    users.groups = any;
    systemd.packages = list;
    systemd.tmpfiles.rules = list;
    systemd.services = units;
    systemd.paths = units;
    systemd.timers = units;
    launchd.daemons = units;
  };

  pkgs = {
    nix-upload = package "nix-upload";
    runtimeShell = "/bin/sh";
    formats.toml = _: {
      type = types.attrsOf value;
      generate = name: content: package name // { inherit content; };
    };
    runCommand = name: _: script: package name // { inherit script; };
    writeScript = name: text: package name // { inherit text; };
  };
}

# Evaluates a configuration with one of the modules, and says what came of it, as JSON.
{
  # `lib` of nixpkgs, or what stands in for it
  library,
  module,
  configuration,
}:
let
  lib = import library;
  machine = import ./machine.nix { inherit lib; };
  evaluated = lib.evalModules {
    modules = [
      { inherit (machine) options; }
      { config._module.args = { inherit (machine) pkgs; }; }
      module
      configuration
    ];
  };
  inherit (evaluated) config;
  cfg = config.services.nix-upload;
in
{
  failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  settings = cfg.finalSettings;
  check = cfg.configFile.script;
  etc = builtins.attrNames config.environment.etc;
  hook = config.nix.settings.post-build-hook or null;
  users = builtins.attrNames config.users.users;
  packages = map (p: p.name) config.systemd.packages;
  tmpfiles = config.systemd.tmpfiles.rules;
  services = builtins.mapAttrs (
    _: s: {
      inherit (s) serviceConfig unitConfig;
      wantedBy = s.wantedBy or [ ];
      restartTriggers = map toString s.restartTriggers;
      path = map (p: p.name) s.path;
    }
  ) config.systemd.services;
  paths = config.systemd.paths;
  timers = config.systemd.timers;
  launchd = config.launchd.daemons;
}

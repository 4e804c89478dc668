# Evaluates configurations with one of the modules, and says what comes of each, as JSON. With a nixpkgs (and a
# nix-darwin) it is a whole machine of theirs, otherwise what stands in for it.
{
  # A file with an attribute set of modules, by name.
  configurations,
  # "nixos" or "darwin".
  kind ? "nixos",
  # Paths of checkouts, as strings.
  nixpkgs ? "",
  nixDarwin ? "",
  # The platform that a NixOS is cross-compiled for.
  crossSystem ? null,
}:
let
  isReal = nixpkgs != "";
  module = ../../nix + (if kind == "nixos" then "/module.nix" else "/darwin-module.nix");

  standIn =
    let
      lib = import ./stand-in-lib;
      machine = import ./machine.nix { inherit lib; };
    in
    configuration:
    lib.evalModules {
      modules = [
        { inherit (machine) options; }
        { config._module.args = { inherit (machine) pkgs; }; }
        module
        configuration
      ];
    };

  # One for all configurations, which halves the time. It is read-only, so the module must do without an overlay.
  pkgs = import (/. + nixpkgs) (
    { system = "x86_64-linux"; } // (if crossSystem == null then { } else { inherit crossSystem; })
  );
  nixos =
    configuration:
    import (/. + nixpkgs + "/nixos/lib/eval-config.nix") {
      system = null;
      modules = [
        (/. + nixpkgs + "/nixos/modules/misc/nixpkgs/read-only.nix")
        {
          nixpkgs = { inherit pkgs; };
          fileSystems."/" = {
            device = "/dev/vda1";
            fsType = "ext4";
          };
          boot.loader.grub.enable = false;
          system.stateVersion = "26.05";
          documentation.enable = false;
        }
        module
        configuration
      ];
    };
  darwin =
    configuration:
    import (/. + nixDarwin + "/eval-config.nix") {
      lib = import (/. + nixpkgs + "/lib");
      modules = [
        {
          nixpkgs.source = /. + nixpkgs;
          nixpkgs.hostPlatform = "aarch64-darwin";
          system.stateVersion = 6;
          system.primaryUser = "me";
          documentation.enable = false;
        }
        module
        configuration
      ];
    };

  machineOf =
    if !isReal then
      standIn
    else if kind == "nixos" then
      nixos
    else
      darwin;

  isOurs = name: builtins.match "nix-upload.*" name != null;
  oursIn =
    f: set:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = f set.${name};
      }) (builtins.filter isOurs (builtins.attrNames set))
    );

  summary =
    configuration:
    let
      inherit (machineOf configuration) config;
      cfg = config.services.nix-upload;
    in
    {
      failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
      settings = cfg.finalSettings;
      package = toString cfg.package;
      # nix-darwin refuses to be asked for settings of a Nix that it doesn't manage.
      hook = if config.nix.enable then config.nix.settings.post-build-hook or null else null;
      hookProgram = toString cfg.hookProgram;
      inherit (cfg) directories;
      aws = if cfg.awsConfigFile == null then null else cfg.awsConfigFile.text;
      etc = builtins.filter isOurs (builtins.attrNames config.environment.etc);
      nixConf = if config.nix.enable then config.nix.extraOptions else "";
    }
    // (
      if kind == "darwin" then
        { launchd = { inherit (config.launchd.daemons.nix-upload) script serviceConfig; }; }
      else
        {
          check = toString cfg.configFile.buildCommand;
          user = config.users.users.nix-upload.group;
          packages = builtins.filter isOurs (map (p: p.pname or p.name) config.systemd.packages);
          tmpfiles = builtins.filter (
            rule: builtins.match ".*[ :]nix-upload .*" rule != null
          ) config.systemd.tmpfiles.rules;
          ssh = config.programs.ssh.extraConfig;
          services = oursIn (s: {
            inherit (s) serviceConfig unitConfig environment;
            wantedBy = s.wantedBy or [ ];
            restartTriggers = map toString s.restartTriggers;
            path = map (p: p.pname or p.name) s.path;
          }) config.systemd.services;
          paths = oursIn (p: {
            inherit (p) pathConfig unitConfig wantedBy;
          }) config.systemd.paths;
          timers = oursIn (t: { inherit (t) wantedBy; }) config.systemd.timers;
          # As NixOS writes them.
          units = if isReal then oursIn (u: { inherit (u) text wantedBy; }) config.systemd.units else { };
        }
    );
in
builtins.mapAttrs (_: summary) (import (/. + configurations))

{
  description = "A crash-safe upload queue for Nix's post-build-hook";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      darwin = [
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEach = systems: make: lib.genAttrs systems (system: make (nixpkgs.legacyPackages.${system}.extend self.overlays.default));
    in
    {
      overlays.default = import ./nix/overlay.nix;

      nixosModules.default = {
        imports = [ ./nix/module.nix ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      darwinModules.default = {
        imports = [ ./nix/darwin-module.nix ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      packages = forEach (linux ++ darwin) (pkgs: {
        inherit (pkgs) nix-upload;
        default = pkgs.nix-upload;
      });

      apps = forEach (linux ++ darwin) (pkgs: {
        default = {
          type = "app";
          program = lib.getExe pkgs.nix-upload;
        };
      });

      checks = forEach linux (pkgs: {
        inherit (pkgs) nix-upload;
        daemon = import ./nix/tests/build-to-cache.nix {
          inherit pkgs;
          mode = "daemon";
        };
        path = import ./nix/tests/build-to-cache.nix {
          inherit pkgs;
          mode = "path";
        };
      });

      devShells = forEach (linux ++ darwin) (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.shellcheck
            pkgs.nixfmt-rfc-style
          ];
        };
      });
    };
}

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
      forEach =
        systems: make:
        lib.genAttrs systems (system: make (nixpkgs.legacyPackages.${system}.extend self.overlays.default));
    in
    {
      overlays.default = import ./nix/overlay.nix;

      # They take the package from the nixpkgs of the machine, and set no overlay, so they go with any `pkgs`.
      nixosModules.default = ./nix/module.nix;
      darwinModules.default = ./nix/darwin-module.nix;

      packages = forEach (linux ++ darwin) (pkgs: {
        inherit (pkgs) nix-upload;
        default = pkgs.nix-upload;
      });

      apps = forEach (linux ++ darwin) (pkgs: {
        default = {
          type = "app";
          program = lib.getExe pkgs.nix-upload;
          meta = { inherit (pkgs.nix-upload.meta) description; };
        };
      });

      checks = forEach linux (
        pkgs: { inherit (pkgs) nix-upload; } // pkgs.nix-upload.tests // import ./nix/tests { inherit pkgs; }
      );

      devShells = forEach (linux ++ darwin) (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.shellcheck
            pkgs.nixfmt
          ];
        };
      });
    };
}

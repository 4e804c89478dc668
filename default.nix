# The package, for those without flakes: `nix-env --install --file .` or `nix-build`.
{
  pkgs ? import <nixpkgs> { },
}:
pkgs.callPackage ./nix/package.nix { }

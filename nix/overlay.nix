final: _prev: { nix-upload = final.callPackage ./package.nix { }; }

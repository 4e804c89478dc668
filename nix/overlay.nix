final: _prev: {
  nix-upload = final.callPackage ./package.nix {
    nodejs = final.nodejs_24 or final.nodejs_22;
    systemd = if final.stdenv.hostPlatform.isLinux then final.systemd else null;
  };
}

# A NixOS machine builds, the hook queues, the service uploads, another store substitutes from the cache. `nix flake check`
# runs it in a virtual machine.
{ pkgs, mode }:
pkgs.testers.runNixOSTest {
  name = "nix-upload-${mode}";

  nodes.machine = {
    imports = [ ../module.nix ];
    services.nix-upload = {
      enable = true;
      package = pkgs.nix-upload;
      inherit mode;
      destinations.cache = {
        to = "file:///srv/cache";
        secretKeyFile = "/etc/nix/key.private";
        verify = true;
      };
    };
    nix.settings = {
      experimental-features = [ "nix-command" ];
      substituters = pkgs.lib.mkForce [ ];
      sandbox = false;
    };
    users.users.builder.isNormalUser = true;
    # The key comes to the machine as sops-nix or agenix would bring it: outside of the store, for root alone.
    systemd.services.test-key = {
      wantedBy = [ "multi-user.target" ];
      before = [
        "nix-upload.service"
        "nix-upload-drain.service"
      ];
      path = [ pkgs.nix ];
      script = "test -e /etc/nix/key.private || nix-store --generate-binary-cache-key test-1 /etc/nix/key.private /etc/nix/key.public";
      serviceConfig.Type = "oneshot";
    };
  };

  testScript = ''
    derivation = (
        'derivation { name = "hello"; system = builtins.currentSystem; '
        'builder = "/bin/sh"; args = ["-c" "echo hello > $out"]; }'
    )
    unit = "${if mode == "daemon" then "nix-upload.service" else "nix-upload-drain.path"}"

    machine.wait_for_unit(unit)
    machine.succeed(f"cat > /tmp/hello.nix <<'EOF'\n{derivation}\nEOF\n")
    path = machine.succeed("su - builder -c 'nix-build --no-out-link /tmp/hello.nix'").strip()
    machine.wait_until_succeeds("ls /var/spool/nix-upload/done/*hello.json", timeout=60)
    machine.succeed(f"grep -q '^Sig: test-1:' /srv/cache/{path[11:43]}.narinfo")

    # Back into an empty store, by who trusts the key.
    machine.succeed(
        f"nix copy --from file:///srv/cache --to /root/other --option trusted-public-keys \"$(cat /etc/nix/key.public)\" {path}"
    )
    machine.succeed(f"grep hello /root/other{path}")
  '';
}

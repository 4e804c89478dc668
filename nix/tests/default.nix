# Virtual machines that go through it: a NixOS builds, the hook queues, the service uploads, and somebody else has it.
# `nix flake check` runs them. Where KVM is missing, booted.test.ts in test/nix-module does much of the same.
{ pkgs }:
let
  inherit (pkgs) lib;

  # Nothing comes from the network, and a user may build.
  builder = {
    imports = [ ../module.nix ];
    services.nix-upload.enable = true;
    nix.settings = {
      experimental-features = [ "nix-command" ];
      substituters = lib.mkForce [ ];
      sandbox = false;
    };
    users.users.builder.isNormalUser = true;
  };

  # The secrets come to the machine as sops-nix or agenix would bring them: outside of the store, for root alone.
  withSecrets = script: {
    systemd.services.test-secrets = {
      wantedBy = [ "multi-user.target" ];
      before = [
        "nix-upload.service"
        "nix-upload-drain.service"
      ];
      path = [ pkgs.nix ];
      script = ''
        umask 077
        mkdir -p /run/keys
        test -e /etc/nix/key.private || nix-store --generate-binary-cache-key test-1 /etc/nix/key.private /etc/nix/key.public
        ${script}
      '';
      serviceConfig.Type = "oneshot";
    };
  };

  build = ''
    def build(machine):
        derivation = (
            'derivation { name = "hello"; system = builtins.currentSystem; '
            'builder = "/bin/sh"; args = ["-c" "echo hello > $out"]; }'
        )
        machine.succeed(f"cat > /tmp/hello.nix <<'EOF'\n{derivation}\nEOF\n")
        path: str = machine.succeed("su - builder -c 'nix-build --no-out-link /tmp/hello.nix'").strip()
        machine.wait_until_succeeds("ls /var/spool/nix-upload/done/*hello.json", timeout=120)
        return path


  '';

  test =
    name: nodes: testScript:
    pkgs.testers.runNixOSTest {
      name = "nix-upload-${name}";
      inherit nodes;
      testScript = build + testScript;
    };
in
{
  # services.nix-upload.enable = true, and nothing else.
  default = test "default" { machine = builder; } ''
    machine.wait_for_unit("nix-upload.service")
    path = build(machine)
    machine.succeed(
        f"nix copy --from file:///var/spool/nix-upload-cache --to /root/other --no-check-sigs {path}"
    )
    machine.succeed(f"grep hello /root/other{path}")
    machine.succeed("nix-upload doctor")
  '';

  path =
    test "path"
      {
        machine = {
          imports = [
            builder
            (withSecrets "")
          ];
          services.nix-upload = {
            mode = "path";
            destinations.cache = {
              to = "file:///srv/my%20cache";
              secretKeyFile = "/etc/nix/key.private";
              verify = true;
            };
          };
        };
      }
      ''
        machine.wait_for_unit("nix-upload-drain.path")
        path = build(machine)
        machine.succeed(f"grep -q '^Sig: test-1:' '/srv/my cache/{path[11:43]}.narinfo'")
      '';

  ssh =
    test "ssh"
      {
        machine = {
          imports = [
            builder
            (withSecrets "install -m 400 ${./ssh-key} /run/keys/id")
          ];
          services.nix-upload.destinations.backup = {
            to = "ssh-ng://uploader@backup";
            secretKeyFile = "/etc/nix/key.private";
            sshKeyFile = "/run/keys/id";
          };
          programs.ssh.extraConfig = "StrictHostKeyChecking accept-new";
        };
        backup = {
          services.openssh.enable = true;
          nix.settings.trusted-users = [ "uploader" ];
          users.users.uploader = {
            isNormalUser = true;
            openssh.authorizedKeys.keyFiles = [ ./ssh-key.pub ];
          };
        };
      }
      ''
        backup.wait_for_unit("sshd.service")
        machine.wait_for_unit("nix-upload.service")
        path = build(machine)
        backup.succeed(f"nix-store --check-validity {path}")
      '';

  s3 =
    test "s3"
      {
        machine = {
          imports = [
            builder
            (withSecrets ''
              echo 'AWS_ACCESS_KEY_ID=uploader' > /run/keys/aws
              echo 'AWS_SECRET_ACCESS_KEY=not-a-secret' >> /run/keys/aws
            '')
          ];
          services.nix-upload.destinations.s3 = {
            to = "s3://cache?region=us-east-1&scheme=http&endpoint=cache:7070";
            secretKeyFile = "/etc/nix/key.private";
            awsCredentialsFile = "/run/keys/aws";
          };
        };
        # An S3 that keeps objects as files, and buckets as directories.
        cache = {
          systemd.services.s3 = {
            wantedBy = [ "multi-user.target" ];
            preStart = "mkdir -p /srv/s3/cache";
            script = "exec ${lib.getExe pkgs.versitygw} --port :7070 posix /srv/s3";
            environment = {
              ROOT_ACCESS_KEY = "uploader";
              ROOT_SECRET_KEY = "not-a-secret";
            };
          };
          networking.firewall.allowedTCPPorts = [ 7070 ];
        };
      }
      ''
        cache.wait_for_unit("s3.service")
        cache.wait_for_open_port(7070)
        machine.wait_for_unit("nix-upload.service")
        path = build(machine)
        cache.succeed(f"grep '^Sig: test-1:' /srv/s3/cache/{path[11:43]}.narinfo")
      '';
}

# nix-upload from package-lock.json alone. The lock file names no registry, so no address is known here: each package is
# a fixed-output derivation that npm fetches from wherever it is set to fetch from, with the lock's own hash. There is no
# other hash to keep up, and the build itself needs no network.
{
  lib,
  stdenv,
  nodejs,
  cacert,
  coreutils,
  makeWrapper,
  nix,
  openssh,
  # What the daemon tells systemd goes by way of systemd-notify.
  systemd,
}:
let
  lock = lib.importJSON ../package-lock.json;
  host = stdenv.hostPlatform.node;

  # TypeScript and the types it reads; everything else of the development dependencies is for tests.
  isForBuild = key: builtins.match "node_modules/(typescript|@typescript/.*|@types/.*|undici-types)" key != null;
  isForHost =
    module:
    (!(module ? os) || lib.elem host.platform module.os)
    && (!(module ? cpu) || lib.elem host.arch module.cpu)
    && (!(module ? libc) || lib.elem "glibc" module.libc);
  modules = lib.filterAttrs (
    key: module: key != "" && isForHost module && (!(module.dev or false) || isForBuild key)
  ) lock.packages;

  fetch =
    key: module:
    let
      name = lib.last (lib.splitString "node_modules/" key);
    in
    stdenv.mkDerivation {
      name = "npm-${lib.replaceStrings [ "@" "/" ] [ "" "-" ] name}-${module.version}.tgz";
      outputHash = module.integrity;
      outputHashMode = "flat";
      impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
        "NPM_CONFIG_REGISTRY"
        "npm_config_registry"
      ];
      nativeBuildInputs = [ nodejs ];
      SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
      NODE_EXTRA_CA_CERTS = "${cacert}/etc/ssl/certs/ca-bundle.crt";
      dontUnpack = true;
      dontFixup = true;
      buildPhase = "HOME=$PWD npm pack --ignore-scripts --silent ${lib.escapeShellArg "${name}@${module.version}"}";
      installPhase = "mv ./*.tgz $out";
    };

  unpack = key: module: ''
    mkdir -p ${lib.escapeShellArg key}
    tar -xzf ${fetch key module} -C ${lib.escapeShellArg key} --strip-components=1 --no-same-owner
  '';
  toBuild = lib.filterAttrs (_: module: module.dev or false) modules;
  toRun = lib.filterAttrs (_: module: !(module.dev or false)) modules;
  unpackAll = set: lib.concatStrings (lib.mapAttrsToList unpack set);
in
stdenv.mkDerivation {
  pname = "nix-upload";
  version = (lib.importJSON ../package.json).version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../bin
      ../docs
      ../man
      ../src
      ../systemd
      ../CHANGELOG.md
      ../LICENSE
      ../README.md
      ../package.json
      ../tsconfig.json
      ../tsconfig.build.json
    ];
  };

  nativeBuildInputs = [
    nodejs
    makeWrapper
  ];
  # For patchShebangs: what the programs run with.
  buildInputs = [ nodejs ];

  buildPhase = ''
    runHook preBuild
    ${unpackAll toRun}
    cp -r node_modules ../to-run
    ${unpackAll toBuild}
    node node_modules/typescript/bin/tsc --project tsconfig.build.json
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    home=$out/lib/node_modules/nix-upload
    mkdir -p $home $out/bin $out/lib/systemd/system $out/lib/sysusers.d $out/lib/tmpfiles.d
    for page in man/*.[158]; do
      install -D -m 644 "$page" "$out/share/man/man''${page##*.}/''${page##*/}"
    done
    cp -r bin dist docs systemd package.json CHANGELOG.md LICENSE README.md $home/
    mv ../to-run $home/node_modules

    # Behind what is on PATH: whose Nix is a matter of whose store.
    makeWrapper ${nodejs}/bin/node $out/bin/nix-upload \
      --add-flags $home/bin/nix-upload \
      --suffix PATH : ${lib.makeBinPath ([ nix openssh ] ++ lib.optional stdenv.hostPlatform.isLinux systemd)}

    # No wrapper: it would cost as much as the hook itself. It looks through PATH by itself, and here first.
    cp bin/nix-upload-hook $out/bin/
    substituteInPlace $out/bin/nix-upload-hook \
      --replace-fail 'for dir in ''${PATH:-}' 'for dir in ${coreutils}/bin ''${PATH:-}'

    for unit in systemd/*.service systemd/*.path systemd/*.timer; do
      sed "s|^ExecStart=nix-upload |ExecStart=$out/bin/nix-upload |" "$unit" > "$out/lib/systemd/system/''${unit##*/}"
    done
    cp systemd/nix-upload.sysusers $out/lib/sysusers.d/nix-upload.conf
    cp systemd/nix-upload.tmpfiles $out/lib/tmpfiles.d/nix-upload.conf
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/nix-upload --version | grep -Fx ${(lib.importJSON ../package.json).version}
    OUT_PATHS= DRV_PATH= $out/bin/nix-upload-hook 2>&1 | grep -F 'not queued'
    runHook postInstallCheck
  '';

  meta = {
    description = "Crash-safe upload queue for Nix's post-build-hook";
    license = lib.licenses.mit;
    mainProgram = "nix-upload";
    platforms = lib.platforms.unix;
  };
}

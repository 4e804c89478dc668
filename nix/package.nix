# As nixpkgs would have it, but for `src` and `npmDeps`: nixpkgs.md.
{
  lib,
  stdenv,
  stdenvNoCC,
  buildNpmPackage,
  importNpmLock,
  nodejs_24,
  installShellFiles,
  nix-update-script,
  testers,
  bash,
  cacert,
  coreutils,
  nix,
  openssh,
  # What the daemon tells systemd goes by way of systemd-notify.
  systemd,
}:
let
  manifest = lib.importJSON ../package.json;
  nodejs = nodejs_24;
  runtimePath = lib.makeBinPath (
    [
      nix
      openssh
    ]
    ++ lib.optional stdenv.hostPlatform.isLinux systemd
  );
in
buildNpmPackage (finalAttrs: {
  pname = "nix-upload";
  inherit (manifest) version;

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
      ../package-lock.json
      ../tsconfig.json
      ../tsconfig.build.json
    ];
  };

  inherit nodejs;
  npmDeps = import ./npm-deps.nix {
    inherit
      lib
      stdenvNoCC
      importNpmLock
      nodejs
      cacert
      ;
    inherit (stdenv) hostPlatform;
  };
  inherit (importNpmLock) npmConfigHook;

  __structuredAttrs = true;
  strictDeps = true;

  nativeBuildInputs = [ installShellFiles ];
  # For patchShebangs.
  buildInputs = [ bash ];

  # Behind what is on PATH: whose Nix is a matter of whose store.
  makeWrapperArgs = [
    "--suffix"
    "PATH"
    ":"
    runtimePath
  ];

  postInstall = ''
    # buildNpmPackage takes every program for one of Node's. This one is a shell script, and has to be quick: it looks
    # for its tools by itself, and in coreutils first.
    rm $out/bin/nix-upload-hook
    install -m 755 bin/nix-upload-hook $out/bin/nix-upload-hook
    substituteInPlace $out/bin/nix-upload-hook \
      --replace-fail 'for dir in ''${PATH:-}' 'for dir in ${coreutils}/bin ''${PATH:-}'

    installManPage man/*.[158]
    for shell in bash zsh fish; do
      SHELL=/bin/$shell node bin/nix-upload completion > nix-upload.$shell
    done
    installShellCompletion nix-upload.{bash,zsh,fish}

    install -D -m 644 -t $out/lib/systemd/system systemd/*.{service,path,timer}
    substituteInPlace $out/lib/systemd/system/*.service \
      --replace-fail 'ExecStart=nix-upload ' "ExecStart=$out/bin/nix-upload "
    install -D -m 644 systemd/nix-upload.sysusers $out/lib/sysusers.d/nix-upload.conf
    install -D -m 644 systemd/nix-upload.tmpfiles $out/lib/tmpfiles.d/nix-upload.conf
  '';

  doInstallCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/nix-upload --version | grep -Fx ${finalAttrs.version}
    OUT_PATHS= DRV_PATH= $out/bin/nix-upload-hook 2>&1 | grep -F 'not queued'
    head -n 1 $out/bin/nix-upload-hook | grep -E '^#!.*/(ba)?sh$'
    echo 'to = "nowhere"' > wrong.toml
    ! $out/bin/nix-upload check-config wrong.toml
    runHook postInstallCheck
  '';

  passthru = {
    updateScript = nix-update-script { };
    tests.version = testers.testVersion { package = finalAttrs.finalPackage; };
  };

  meta = {
    inherit (manifest) description;
    longDescription = ''
      Nix waits for its post-build-hook, so a hook that uploads makes builds as slow as the network. This hook writes one
      small file and returns. A daemon signs and uploads what the file names, to any number of binary caches and Nix
      stores, and neither a crash nor a power cut nor a week without network loses it.
    '';
    license = lib.licenses.mit;
    maintainers = [ ];
    mainProgram = "nix-upload";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
})

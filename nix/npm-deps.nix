# The npm packages that the build and the program need, for buildNpmPackage's `npmDeps`. The lock file names no registry,
# so no address is known here: npm fetches each package from wherever it is set to fetch from, and the lock file's own
# hash says whether it is the right one. (nixpkgs.md: what nixpkgs has instead.)
{
  lib,
  stdenvNoCC,
  importNpmLock,
  nodejs,
  cacert,
  # The platform that the program is for.
  hostPlatform,
}:
let
  manifest = lib.importJSON ../package.json;
  lock = lib.importJSON ../package-lock.json;

  # TypeScript and the types it reads. All else of the development dependencies is for tests.
  isForBuild = name: builtins.match "typescript|@typescript/.*|@types/.*|undici-types" name != null;
  nameOf = key: lib.last (lib.splitString "node_modules/" key);
  platform = stdenvNoCC.buildPlatform.node;
  isForPlatform =
    module: node: isMusl:
    lib.elem node.platform (module.os or [ node.platform ])
    && lib.elem node.arch (module.cpu or [ node.arch ])
    && lib.elem (if isMusl then "musl" else "glibc") (module.libc or [ "glibc" "musl" ]);
  isNeeded =
    key: module:
    key == ""
    ||
      # What compiles runs where the build runs, and the rest where the program runs.
      (
        if module.dev or false then
          isForBuild (nameOf key) && isForPlatform module platform stdenvNoCC.buildPlatform.isMusl
        else
          isForPlatform module hostPlatform.node hostPlatform.isMusl
      );
  needed = lib.filterAttrs isNeeded lock.packages;

  # npm wants everything that a package names to be there.
  names = map nameOf (lib.attrNames needed);
  onlyNeeded = lib.filterAttrs (name: _: lib.elem name names);
  withoutOthers =
    package:
    package
    // lib.optionalAttrs (package ? devDependencies) {
      devDependencies = lib.filterAttrs (name: _: isForBuild name) (onlyNeeded package.devDependencies);
    }
    // lib.optionalAttrs (package ? optionalDependencies) {
      optionalDependencies = onlyNeeded package.optionalDependencies;
    };

  fetch =
    key: module:
    stdenvNoCC.mkDerivation {
      name = "npm-${lib.replaceStrings [ "@" "/" ] [ "" "-" ] (nameOf key)}-${module.version}.tgz";
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
      buildPhase = "HOME=$PWD npm pack --ignore-scripts --silent ${lib.escapeShellArg "${nameOf key}@${module.version}"}";
      installPhase = "mv ./*.tgz $out";
    };
in
importNpmLock {
  package = withoutOthers manifest;
  packageLock = lock // {
    packages = lib.mapAttrs (_: withoutOthers) needed;
  };
  packageSourceOverrides = lib.mapAttrs fetch (removeAttrs needed [ "" ]);
}

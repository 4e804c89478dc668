# Five packages that need nothing but /bin/sh. Each is a text file that names what it was made from:
#
#     bundle ── hello ── library ── greeting
#        └─────────────── icons
#
# With another edition all of them are new: nix-build test/tour/packages.nix --argstr edition two
{ edition ? "one" }:
let
  package =
    name: uses:
    derivation {
      name = "${name}-1.0";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      # A build that takes a moment, as builds do: the first jobs are under way while the last ones are built.
      args = [ "-c" "sleep 0.3; echo ${name}, edition ${edition}, made from: $uses > $out" ];
      PATH = "/usr/bin:/bin:/run/current-system/sw/bin";
      inherit uses;
    };
  greeting = package "greeting" [ ];
  icons = package "icons" [ ];
  library = package "library" [ greeting ];
  hello = package "hello" [ library ];
in
package "bundle" [ hello icons ]

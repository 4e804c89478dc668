# What a store URL of Nix's says: its parameters, and which directories of this machine an upload to it writes to.
{ lib }:
let
  # `%C3%A9` is the two bytes of an é. Nix has no bytes, so they become the character's number, and that the character.
  character = number: (builtins.fromTOML "c = \"\\U${lib.fixedWidthString 8 "0" (lib.toHexString number)}\"").c;
  numberOf = hex: (builtins.fromTOML "n = 0x${hex}").n;
  # UTF-8: a byte from 192 on begins a character, and each from 128 to 191 behind it adds six bits.
  addByte =
    numbers: byte:
    if byte >= 128 && byte < 192 && numbers != [ ] then
      lib.init numbers ++ [ (lib.last numbers * 64 + byte - 128) ]
    else
      numbers
      ++ [
        (
          if byte >= 240 then
            byte - 240
          else if byte >= 224 then
            byte - 224
          else if byte >= 192 then
            byte - 192
          else
            byte
        )
      ];
  decodeRun =
    run:
    lib.concatMapStrings character (
      builtins.foldl' addByte [ ] (map numberOf (lib.tail (lib.splitString "%" run)))
    );
in
rec {
  decode =
    text:
    lib.concatMapStrings (part: if builtins.isList part then decodeRun (lib.head part) else part) (
      builtins.split "((%[0-9A-Fa-f]{2})+)" text
    );

  parameters =
    url:
    let
      query = builtins.match "[^?#]*[?]([^#]*).*" url;
      pairs = lib.splitString "&" (if query == null then "" else lib.head query);
    in
    lib.listToAttrs (
      map (
        pair:
        let
          words = lib.splitString "=" pair;
        in
        {
          name = lib.head words;
          value = decode (lib.concatStringsSep "=" (lib.tail words));
        }
      ) (builtins.filter (pair: pair != "") pairs)
    );

  withParameter =
    name: value: url:
    "${url}${if lib.hasInfix "?" url then "&" else "?"}${name}=${value}";

  directories =
    url:
    let
      path = builtins.match "(file|local)://(/[^?#]*).*" url;
      isLocal = builtins.match "local([:?].*)?" url != null;
      own = lib.optional (path != null) (decode (lib.elemAt path 1));
      # Of `local`, each of these is a directory that Nix writes to.
      named = lib.optionals isLocal (
        lib.attrValues (lib.filterAttrs (name: _: lib.elem name [ "root" "real" "state" "log" ]) (parameters url))
      );
    in
    builtins.filter (directory: lib.hasPrefix "/" directory && directory != "/") (own ++ named);

  # Nix's parameters that name the file of a secret.
  secretFiles =
    url:
    lib.attrValues (
      lib.filterAttrs (
        name: _:
        lib.elem name [
          "secret-key"
          "ssh-key"
          "tls-private-key"
        ]
      ) (parameters url)
    );

  # Whom ssh logs in to, and as whom; null where it isn't ssh.
  sshTarget =
    url:
    let
      parts = builtins.match "ssh(-ng)?://(([^@/?#]*)@)?(\\[[^]]*]|[^@/:?#]+).*" url;
    in
    if parts == null then
      null
    else
      {
        user = lib.elemAt parts 2;
        host = lib.removePrefix "[" (lib.removeSuffix "]" (lib.elemAt parts 3));
      };
}

# Stands in for `lib` of nixpkgs, which can't be had from a package of npm or Debian: as much of the module system and of
# the functions as nix/*.nix use, written after their documentation. It knows no priorities, no documentation and few
# types. With NIX_UPLOAD_TEST_NIXPKGS set to a nixpkgs, the same tests run with that and all of NixOS.
let
  lib = {
    inherit (builtins)
      concatLists
      concatMap
      concatStringsSep
      elem
      elemAt
      filter
      head
      isAttrs
      isBool
      isFloat
      isInt
      isList
      isString
      listToAttrs
      replaceStrings
      tail
      ;

    # --- Functions ---

    id = x: x;
    hasPrefix = prefix: s: builtins.substring 0 (builtins.stringLength prefix) s == prefix;
    optional = condition: x: if condition then [ x ] else [ ];
    optionals = condition: xs: if condition then xs else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    optionalString = condition: s: if condition then s else "";
    filterAttrs =
      keep: set: removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
    attrsToList = lib.mapAttrsToList (name: value: { inherit name value; });
    attrValues = builtins.attrValues;
    unique = builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];
    escapeShellArg = s: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";
    escapeShellArgs = args: builtins.concatStringsSep " " (map lib.escapeShellArg args);
    literalExpression = text: { inherit text; };
    concatStrings = builtins.concatStringsSep "";
    concatMapStrings = f: xs: lib.concatStrings (map f xs);
    splitString =
      separator: s:
      builtins.filter builtins.isString (builtins.split (escapeRegex separator) s);
    hasInfix = infix: s: builtins.match ".*${escapeRegex infix}.*" s != null;
    removePrefix =
      prefix: s:
      if lib.hasPrefix prefix s then
        builtins.substring (builtins.stringLength prefix) (-1) s
      else
        s;
    removeSuffix =
      suffix: s:
      let
        length = builtins.stringLength s - builtins.stringLength suffix;
      in
      if length >= 0 && builtins.substring length (-1) s == suffix then builtins.substring 0 length s else s;
    escape = list: builtins.replaceStrings list (map (c: "\\${c}") list);
    last = xs: builtins.elemAt xs (builtins.length xs - 1);
    init = xs: builtins.genList (builtins.elemAt xs) (builtins.length xs - 1);
    fixedWidthString =
      width: filler: s:
      if builtins.stringLength s >= width then s else lib.fixedWidthString width filler (filler + s);
    toHexString =
      n:
      (if n >= 16 then lib.toHexString (n / 16) else "")
      + builtins.substring (n - n / 16 * 16) 1 "0123456789ABCDEF";
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: builtins.listToAttrs (lib.mapAttrsToList f set);
    concatMapAttrs = f: set: builtins.foldl' (all: one: all // one) { } (lib.mapAttrsToList f set);

    # --- Definitions ---

    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      _what:
      lib.mkOption {
        type = lib.types.bool;
        default = false;
      };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkAfter = lib.id;
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };

    # --- Types: how definitions, of which there is at least one, become a value ---

    types =
      let
        one =
          name: check:
          {
            inherit name;
            merge =
              where: definitions:
              let
                value = builtins.head definitions;
              in
              if !builtins.all check definitions then
                throw "The option `${where}' is not of type `${name}'"
              else if builtins.any (other: other != value) (builtins.tail definitions) then
                throw "The option `${where}' has conflicting definitions"
              else
                value;
          };
        isPackage = x: builtins.isAttrs x && x.type or null == "derivation";
        types = {
          str = one "string" builtins.isString;
          bool = one "boolean" builtins.isBool;
          lines = {
            name = "lines";
            merge = _where: builtins.concatStringsSep "\n";
          };
          package = one "package" isPackage;
          path = one "path" (x: isPackage x || builtins.isPath x || (builtins.isString x && lib.hasPrefix "/" x));
          enum = values: one "one of ${builtins.toJSON values}" (x: builtins.elem x values);
          strMatching =
            pattern:
            one "string matching ${pattern}" (x: builtins.isString x && builtins.match pattern x != null);
          functionTo = _result: {
            name = "function";
            merge = _where: builtins.head;
          };
          nullOr = type: {
            name = "null or ${type.name}";
            merge =
              where: definitions:
              if builtins.all (x: x == null) definitions then null else type.merge where definitions;
          };
          listOf = type: {
            name = "list of ${type.name}";
            merge =
              where: definitions:
              builtins.concatMap (
                definition:
                if builtins.isList definition then
                  map (x: type.merge "${where}.*" [ x ]) definition
                else
                  throw "The option `${where}' is not a list"
              ) definitions;
          };
          attrsOf = type: {
            name = "attribute set of ${type.name}";
            merge =
              where: definitions:
              if !builtins.all builtins.isAttrs definitions then
                throw "The option `${where}' is not an attribute set"
              else
                builtins.listToAttrs (
                  builtins.concatMap (
                    name:
                    let
                      own = at name definitions;
                    in
                    lib.optional (own != [ ]) {
                      inherit name;
                      value = type.merge "${where}.${name}" own;
                    }
                  ) (namesIn definitions)
                );
          };
          anything = {
            name = "anything";
            merge =
              where: definitions:
              if builtins.all (x: builtins.isAttrs x && !isPackage x) definitions then
                (types.attrsOf types.anything).merge where definitions
              else if builtins.all builtins.isList definitions then
                builtins.concatLists definitions
              else
                builtins.head definitions;
          };
          submodule = module: {
            name = "submodule";
            merge =
              where: definitions:
              (evaluate where ([ module ] ++ map (config: { inherit config; }) definitions)).config;
          };
        };
      in
      types;

    evalModules = { modules }: evaluate "" modules;
  };

  escapeRegex = builtins.replaceStrings [ "." "?" "[" "]" "(" ")" "*" "+" "|" "^" "$" "\\" ] [ "[.]" "[?]" "\\[" "\\]" "[(]" "[)]" "[*]" "[+]" "[|]" "\\^" "[$]" "\\\\" ];

  namesIn =
    definitions: lib.unique (builtins.concatMap (set: builtins.attrNames (removeAttrs set [ "_module" ])) definitions);

  # What a definition comes to, when its conditions hold.
  discharge =
    definition:
    if definition._type or null == "if" then
      lib.optionals definition.condition (discharge definition.content)
    else if definition._type or null == "merge" then
      builtins.concatMap discharge definition.contents
    else
      [ definition ];

  at = name: builtins.concatMap (set: if set ? ${name} then discharge set.${name} else [ ]);

  # The same for a set, whose names are needed before it can be known whether the condition holds.
  pushDown =
    definition:
    if definition._type or null == "if" then
      map (builtins.mapAttrs (_: lib.mkIf definition.condition)) (pushDown definition.content)
    else if definition._type or null == "merge" then
      builtins.concatMap pushDown definition.contents
    else
      [ definition ];

  below = name: builtins.concatMap (set: if set ? ${name} then pushDown set.${name} else [ ]);

  evaluate =
    where: modules:
    let
      arguments = {
        inherit lib config;
      }
      // builtins.foldl' (all: module: all // given module) { } modules;
      given = module: if builtins.isAttrs module then module.config._module.args or { } else { };

      expand =
        module:
        let
          called = if builtins.isPath module || builtins.isString module then import module else module;
          set = if builtins.isFunction called then called arguments else called;
        in
        builtins.concatMap expand (set.imports or [ ]) ++ [ set ];
      expanded = builtins.concatMap expand modules;
      structure = [
        "imports"
        "options"
        "config"
        "freeformType"
      ];
      isLong = set: builtins.any (name: set ? ${name}) structure;
      definitions = builtins.concatMap (
        set: pushDown (if isLong set then set.config or { } else set)
      ) expanded;
      declarations = map (set: set.options or { }) expanded;
      freeform = builtins.concatMap (set: lib.optional (set ? freeformType) set.freeformType) expanded;

      build =
        where: declarations: definitions:
        builtins.listToAttrs (
          map (
            name:
            let
              declared = builtins.concatMap (set: lib.optional (set ? ${name}) set.${name}) declarations;
              options = builtins.filter (o: o._type or null == "option") declared;
              option = builtins.head options;
              place = if where == "" then name else "${where}.${name}";
              own = at name definitions;
            in
            {
              inherit name;
              value =
                if options == [ ] then
                  build place declared (below name definitions)
                else
                  option.type.merge place (
                    if own != [ ] then own else [ (option.default or (throw "The option `${place}' has no value")) ]
                  );
            }
          ) (namesIn declarations)
        );

      declared = build where declarations definitions;
      # Looked at only where there may be such, as that takes the definitions' names.
      loose = map (set: removeAttrs set (namesIn declarations ++ [ "_module" ])) definitions;
      unknown = undeclared where declarations definitions;
      config =
        if freeform != [ ] then
          (builtins.head freeform).merge where loose // declared
        else
          declared;
    in
    {
      config = if freeform == [ ] && unknown != [ ] then throw "The option `${builtins.head unknown}' does not exist" else config;
    };

  undeclared =
    where: declarations: definitions:
    builtins.concatMap (
      name:
      let
        declared = builtins.concatMap (set: lib.optional (set ? ${name}) set.${name}) declarations;
        place = if where == "" then name else "${where}.${name}";
      in
      if declared == [ ] then
        [ place ]
      else if builtins.any (o: o._type or null == "option") declared then
        [ ]
      else
        undeclared place declared (below name definitions)
    ) (namesIn definitions);
in
lib

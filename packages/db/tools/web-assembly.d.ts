/** The little that `schema-diff.ts` uses; TypeScript has it in the library of browsers only. */
// biome-ignore lint/style/noNamespace: that is how the standard library declares it
declare namespace WebAssembly {
  type Exports = Record<string, unknown>;
  type ModuleImports = Record<string, unknown>;
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, ModuleImports>);
    readonly exports: Exports;
  }
}

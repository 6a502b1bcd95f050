// What `hostel/build` promises: the command `hostel-build` as a function.

/** Builds a component, and beside it the bundle that its stack traces speak of. */
export declare function build(options: {
  /** A .js or .ts file that exports `subscriber`. */
  entry: string;
  /** Where to write the component. */
  output: string;
  /** Hears of each step. */
  onProgress?: (step: string) => void;
}): Promise<{
  output: string;
  /** The component's size. */
  bytes: number;
  /** The WIT interfaces of the contract that it imports. */
  imports: string[];
  milliseconds: number;
}>;

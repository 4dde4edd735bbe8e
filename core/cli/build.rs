//! Nothing to do: that there is a build script gives the binary `OUT_DIR`, which tells the folder that it is built in.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

//! The C header and the Rust structures describe the same bytes.

use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use driftgauge_plugin_protocol::ffi::*;

/// Runs `layout!(c_name, RustType, field, ...)` for both sides: C lines to print, and what Rust says they print.
macro_rules! layout {
    ($c:literal, $rust:ty $(, $field:ident)*) => {
        (
            vec![
                format!("P(\"{0}\", sizeof({0}));", $c),
                $(format!("P(\"{0}.{1}\", offsetof({0}, {1}));", $c, stringify!($field)),)*
            ],
            vec![
                format!("{} {}", $c, size_of::<$rust>()),
                $(format!("{}.{} {}", $c, stringify!($field), offset_of!($rust, $field)),)*
            ],
        )
    };
}

fn compile(source: &Path, program: &Path, standard: &str) {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(&compiler)
        .args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg("-o")
        .args([program, source])
        .output()
        .expect("a C compiler is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn sizes_and_offsets_agree() {
    let parts = [
        layout!("dg_str", DgStr, ptr, len),
        layout!("dg_f32s", DgF32s, ptr, len),
        layout!("dg_f64s", DgF64s, ptr, len),
        layout!("dg_strs", DgStrs, ptr, len),
        layout!("dg_buf", DgBuf, ptr, len, release, owner),
        layout!(
            "dg_host",
            DgHost,
            struct_size,
            abi_minor,
            ctx,
            log,
            cancelled,
            len,
            get_str,
            get_f64,
            get_i64,
            get_f32s,
            get_strs,
            get_json,
            extension,
            get_f64s,
            column_str,
            column_f64,
            column_i64,
            column_f32s,
            column_strs,
            column_f64s,
            scores
        ),
        layout!(
            "dg_scores",
            DgScores,
            struct_size,
            binary,
            id,
            condition,
            len,
            values,
            present,
            prompts,
            sample_ids
        ),
        layout!(
            "dg_metric_vtable",
            DgMetricVtable,
            struct_size,
            abi_minor,
            manifest,
            create,
            update,
            finish,
            destroy,
            extension
        ),
        layout!(
            "dg_plugin",
            DgPlugin,
            struct_size,
            abi_minor,
            n_metrics,
            reserved,
            metrics
        ),
    ];
    let (mut prints, mut expected): (Vec<String>, Vec<String>) = (vec![], vec![]);
    for (c, rust) in parts {
        prints.extend(c);
        expected.extend(rust);
    }
    for (constant, value) in [
        ("DG_ABI_MAJOR", i64::from(ABI_MAJOR)),
        ("DG_ABI_MINOR", i64::from(ABI_MINOR)),
        ("DG_OK", DG_OK.into()),
        ("DG_BAD_CONFIG", DG_BAD_CONFIG.into()),
        ("DG_BAD_DATA", DG_BAD_DATA.into()),
        ("DG_INTERNAL", DG_INTERNAL.into()),
        ("DG_PANIC", DG_PANIC.into()),
        ("DG_CANCELLED", DG_CANCELLED.into()),
        ("DG_PRESENT", DG_PRESENT.into()),
        ("DG_NULL", DG_NULL.into()),
        ("DG_NO_FIELD", DG_NO_FIELD.into()),
        ("DG_OTHER_TYPE", DG_OTHER_TYPE.into()),
        ("DG_BAD_ROW", DG_BAD_ROW.into()),
    ] {
        prints.push(format!("P(\"{constant}\", {constant});"));
        expected.push(format!("{constant} {value}"));
    }
    let source = format!(
        "#include <stdio.h>\n#include \"driftgauge_metric.h\"\n\
         #define P(name, value) printf(\"%s %ld\\n\", name, (long)(value))\n\
         int main(void) {{\n{}\nreturn 0;\n}}\n",
        prints.join("\n")
    );
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (file, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&file, source).expect("the source is written");
    compile(&file, &program, "-std=c99");
    let output = Command::new(&program).output().expect("the program runs");
    let printed: Vec<&str> = std::str::from_utf8(&output.stdout)
        .expect("it prints text")
        .lines()
        .collect();
    assert_eq!(printed, expected);
}

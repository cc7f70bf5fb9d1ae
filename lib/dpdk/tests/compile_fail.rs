//! What the types forbid does not compile.

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    // A case that passes also makes trybuild build instead of check, which is when sizes are asserted.
    cases.pass("tests/compile_pass/*.rs");
}

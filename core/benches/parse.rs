//! What it takes to read a code as people type it: `cargo bench -p backup_codes_core`. Prints nanoseconds a call, the best of
//! many rounds, since a round can only be held up.

use std::hint::black_box;
use std::time::Instant;

use backup_codes_core::code::{Alphabet, Format, plausible};

const ROUNDS: u32 = 200;
const CALLS: u32 = 2000;

fn nanoseconds(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let base32 = Format { alphabet: Alphabet::Base32, length: 25 };
    let decimal = Format { alphabet: Alphabet::Decimal, length: 8 };
    let wide = "\u{ff15}\u{ff39}\u{ff32}\u{ff27}\u{ff38}\u{ff0d}\u{ff22}708S-J99MC-3TWEK-EY4PQ";
    let inputs = [
        ("as it was shown", "5YRGX-B708S-J99MC-3TWEK-EY4PQ".to_owned()),
        ("in lower case", "5yrgx b708s j99mc 3twek ey4pq".to_owned()),
        ("with typographic dashes", "5YRGX\u{2013}B708S\u{2013}J99MC\u{2013}3TWEK\u{2013}EY4PQ".to_owned()),
        ("in full-width letters, partly", wide.to_owned()),
        ("wrong check symbol", "5YRGX-B708S-J99MC-3TWEK-EY4PR".to_owned()),
        ("a symbol too few", "5YRGX-B708S-J99MC-3TWEK-EY4P".to_owned()),
        ("a wrong letter", "5YRGX-B708S-J99MC-3TUEK-EY4PQ".to_owned()),
        ("8 digits", "1234-5678".to_owned()),
        ("1,024 letters", "Q".repeat(1024)),
        ("1,024 hyphens", "-".repeat(1024)),
        ("512 Cyrillic letters", "\u{44f}".repeat(512)),
        ("341 ideographs, compatibility ones", "\u{f900}".repeat(341)),
    ];
    println!("{:<36} {:>9} {:>9} {:>9}", "nanoseconds a call", "plausible", "base32", "decimal");
    for (what, input) in inputs {
        let input = input.as_str();
        let plausible = nanoseconds(|| {
            black_box(plausible(black_box(input)));
        });
        let [base32, decimal] = [base32, decimal].map(|format| {
            nanoseconds(|| {
                black_box(format.parse(black_box(input)));
            })
        });
        println!("{what:<36} {plausible:>9.0} {base32:>9.0} {decimal:>9.0}");
    }
}

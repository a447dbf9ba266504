//! Prints the median of what one Argon2id takes, in microseconds: `bare_argon2 MEMORY_KIB ITERATIONS ROUNDS`.

use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, Version};

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [memory, iterations, rounds] = numbers[..] else {
        eprintln!("usage: bare_argon2 MEMORY_KIB ITERATIONS ROUNDS");
        std::process::exit(2);
    };
    let params = Params::new(memory, iterations, 1, Some(32)).expect("parameters in Argon2's range");
    let mut micros: Vec<u128> = (0..rounds)
        .map(|_| {
            let mut digest = [0; 32];
            let begun = Instant::now();
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
                .hash_password_into(b"12345678", &[7; 16], &mut digest)
                .expect("memory");
            begun.elapsed().as_micros()
        })
        .collect();
    micros.sort_unstable();
    println!("{}", micros[micros.len() / 2]);
}

// SPDX-License-Identifier: MIT
//! Tokio: a task that sleeps 1 ms again and again beside LOOPS that never await, in a runtime of one
//! thread. Another thread ends the loops, or they would never end.
//!
//!	tokio_preempt sleep LOOPS MS
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep_until, Instant};

static STOP: AtomicBool = AtomicBool::new(false);

fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

async fn measure(room: usize) -> Vec<f64> {
    let mut late = Vec::with_capacity(room);
    loop {
        let due = Instant::now() + Duration::from_millis(1);
        sleep_until(due).await;
        if stopped() {
            return late;
        }
        late.push(due.elapsed().as_secs_f64() * 1e6);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 4 || arguments[1] != "sleep" {
        std::process::exit(2);
    }
    let loops: u64 = arguments[2].parse().expect("LOOPS is a number");
    let ms: u64 = arguments[3].parse().expect("MS is a number");
    let end = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        STOP.store(true, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut late = runtime.block_on(async {
        for _ in 0..loops {
            tokio::spawn(async { while !stopped() {} });
        }
        tokio::spawn(measure(ms as usize)).await.unwrap()
    });
    end.join().unwrap();
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    for percent in [50, 99] {
        // -1: not one wake-up before the end of the run
        let value = match late.len() {
            0 => -1.0,
            count => late[(count * percent + 99) / 100 - 1],
        };
        println!("p{percent}\tus\t{value:.3}");
    }
}

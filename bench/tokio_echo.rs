// SPDX-License-Identifier: MIT
//! Tokio's echo server, two worker threads; see usched_echo.c.
//!
//!	tokio_echo LOOPS
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serve(mut connection: TcpStream) {
    let mut buffer = [0u8; 1024];
    loop {
        let got = match connection.read(&mut buffer).await {
            Ok(got) if got > 0 => got,
            _ => return,
        };
        if connection.write_all(&buffer[..got]).await.is_err() {
            return;
        }
    }
}

async fn accept_all(listener: TcpListener) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        tokio::spawn(serve(connection));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 2 {
        std::process::exit(2);
    }
    let loops: u64 = arguments[1].parse().expect("LOOPS is a number");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..loops {
            tokio::spawn(async {
                let mut turns = 0u64;
                loop {
                    unsafe { std::ptr::write_volatile(&mut turns, turns + 1) };
                }
            });
        }
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        tokio::spawn(accept_all(listener)).await.unwrap();
    });
}

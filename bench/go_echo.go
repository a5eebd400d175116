// SPDX-License-Identifier: MIT

// Go's echo server, GOMAXPROCS=2; see usched_echo.c.
//
//	go_echo LOOPS
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

var sinks [64]struct {
	turns uint64
	_     [56]byte // a cache line each
}

func serve(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 1024)
	for {
		got, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:got]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		os.Exit(2)
	}
	loops, err := strconv.Atoi(os.Args[1])
	if err != nil || loops > len(sinks) {
		os.Exit(2)
	}
	runtime.GOMAXPROCS(2)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	for i := 0; i < loops; i++ {
		go func(turns *uint64) {
			for {
				*turns++
			}
		}(&sinks[i].turns)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(connection) // Go sets TCP_NODELAY itself
	}
}

// SPDX-License-Identifier: MIT

// Go's side of the basic workloads, with GOMAXPROCS=1.
//
//	go_basic WORKLOAD COUNT
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

func yieldAmong(number, count int) float64 {
	var group sync.WaitGroup
	turns := count / number
	began := time.Now()
	for i := 0; i < number; i++ {
		group.Add(1)
		go func() {
			for j := 0; j < turns; j++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	return float64(time.Since(began)) / float64(turns*number)
}

func spawnInTurn(count int) float64 {
	done := make(chan struct{})
	began := time.Now()
	for i := 0; i < count; i++ {
		go func() { done <- struct{}{} }()
		<-done
	}
	return float64(time.Since(began)) / float64(count)
}

func spawnInBatches(count int) float64 {
	const batch = 1000
	began := time.Now()
	for done := 0; done < count; done += batch {
		var group sync.WaitGroup
		group.Add(batch)
		for i := 0; i < batch; i++ {
			go func() { group.Done() }()
		}
		group.Wait()
	}
	return float64(time.Since(began)) / float64(count)
}

func pingPong(count int) float64 {
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for value := range there {
			back <- value
		}
	}()
	began := time.Now()
	for i := 0; i < count; i++ {
		there <- uint64(i)
		if <-back != uint64(i) {
			panic("another value came back")
		}
	}
	elapsed := float64(time.Since(began)) / float64(count)
	close(there)
	return elapsed
}

func run(workload string, count int) float64 {
	switch workload {
	case "yield-2":
		return yieldAmong(2, count)
	case "yield-1000":
		return yieldAmong(1000, count)
	case "spawn-join":
		return spawnInTurn(count)
	case "spawn-join-batch":
		return spawnInBatches(count)
	case "ping-pong":
		return pingPong(count)
	}
	os.Exit(2)
	return 0
}

func main() {
	runtime.GOMAXPROCS(1)
	count, _ := strconv.Atoi(os.Args[2])
	run(os.Args[1], count) // the first turn warms stacks and caches
	fmt.Printf("%.3f\n", run(os.Args[1], count))
}

// SPDX-License-Identifier: MIT

// Go's side of the workloads about goroutines that do not give way; GOMAXPROCS=1 but for idle.
//
//	go_preempt sleep LOOPS MS
//	go_preempt blocked COUNT
//	go_preempt idle GOROUTINES MS
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var stop int32

func stopped() bool { return atomic.LoadInt32(&stop) != 0 }

// -1: it did not happen once before the end of the run.
func printLateness(samples []time.Duration) {
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
	for _, percent := range []int{50, 99} {
		value := -1.0
		if len(samples) > 0 {
			value = float64(samples[(len(samples)*percent+99)/100-1]) / 1000
		}
		fmt.Printf("p%d\tus\t%.3f\n", percent, value)
	}
}

func sleepBeside(loops, ms int) {
	late := make([]time.Duration, 0, ms)
	done := make(chan struct{})
	for i := 0; i < loops; i++ {
		go func() {
			for !stopped() {
			}
		}()
	}
	go func() {
		for {
			due := time.Now().Add(time.Millisecond)
			time.Sleep(time.Millisecond)
			if stopped() {
				break
			}
			if len(late) < cap(late) {
				late = append(late, time.Since(due))
			}
		}
		close(done)
	}()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	atomic.StoreInt32(&stop, 1)
	<-done
	printLateness(late)
}

// The reads are plain system calls on a blocking pipe, which Go's poller knows nothing of.
func blocked(count int) {
	var ends [2]int
	var beganAt int64 // of the read that blocks now; 0: none
	gaps := make([]time.Duration, 0, count)
	done := make(chan struct{})
	epoch := time.Now()
	if syscall.Pipe(ends[:]) != nil {
		panic("no pipe")
	}
	go func() {
		next := []byte{0}
		for ; !stopped(); runtime.Gosched() {
			began := atomic.SwapInt64(&beganAt, 0)
			if began == 0 {
				continue
			}
			gaps = append(gaps, time.Since(epoch)-time.Duration(began))
			if n, _ := syscall.Write(ends[1], next); n != 1 {
				panic("the pipe cannot be written")
			}
			next[0]++
		}
		close(done)
	}()
	go func() {
		random := uint32(1)
		got := []byte{0}
		for i := 0; i < count; i++ {
			random = random*1664525 + 1013904223
			until := time.Since(epoch) + time.Duration(random>>11)
			for time.Since(epoch) < until {
			}
			atomic.StoreInt64(&beganAt, int64(time.Since(epoch)))
			if n, _ := syscall.Read(ends[0], got); n != 1 || got[0] != byte(i) {
				panic("another byte came out of the pipe")
			}
		}
		atomic.StoreInt32(&stop, 1)
	}()
	<-done
	if len(gaps) != count {
		panic("a blocking was not seen")
	}
	printLateness(gaps)
}

// Of all threads but the calling one.
func cpu() time.Duration {
	const thisThread = 1
	var all, this syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &all) != nil || syscall.Getrusage(thisThread, &this) != nil {
		panic("no usage")
	}
	return time.Duration(all.Utime.Nano() + all.Stime.Nano() - this.Utime.Nano() - this.Stime.Nano())
}

// A sleep that Go's timers know nothing of.
func pause(ms int) {
	rest := syscall.NsecToTimespec(int64(ms) * 1e6)
	for syscall.Nanosleep(&rest, &rest) != nil {
	}
}

func idle(goroutines, ms int) {
	var started int32
	quiet := make(chan uint64)
	for i := 0; i < goroutines; i++ {
		go func() {
			atomic.AddInt32(&started, 1)
			if _, more := <-quiet; more {
				panic("a value came from nowhere")
			}
		}()
	}
	for atomic.LoadInt32(&started) < int32(goroutines) {
		time.Sleep(time.Millisecond)
	}
	runtime.LockOSThread()
	pause(1000) // it settles
	before := cpu()
	pause(ms)
	fmt.Printf("cpu\tpercent\t%.4f\n", float64(cpu()-before)/1e4/float64(ms))
	close(quiet)
}

func main() {
	number := func(i int) int {
		if i >= len(os.Args) {
			os.Exit(2)
		}
		value, err := strconv.Atoi(os.Args[i])
		if err != nil {
			os.Exit(2)
		}
		return value
	}
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	if os.Args[1] != "idle" {
		runtime.GOMAXPROCS(1)
	}
	switch os.Args[1] {
	case "sleep":
		sleepBeside(number(2), number(3))
	case "blocked":
		blocked(number(2))
	case "idle":
		idle(number(2), number(3))
	default:
		os.Exit(2)
	}
}

// Command erasure-desk is a service that takes erasure requests: a model that forgets, embedded in
// a host. It queues each request as a forget task of Lethe's engine, answers predictions meanwhile,
// and shows on one page what was asked, what happened and the receipts.
//
// The engine's folder is its only memory. Whenever the process ends, the next one on the same
// folder goes on with what was accepted.
package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is the whole life of the process; it returns the exit status.
func run(args []string) int {
	log := newLogger(os.Stderr)
	options, err := parseOptions(args, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // it has said why
	}
	// From here on a signal ends the process in good order, also while it opens the folder.
	stopping, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer release()

	desk, err := openDesk(options, log)
	if err != nil {
		log.fail("cannot open", "error", err)
		return 1
	}
	if err := serve(stopping, release, desk); err != nil {
		log.fail("cannot serve", "error", err)
		desk.close()
		return 1
	}
	if err := desk.close(); err != nil {
		log.fail("closed with an error", "error", err)
		return 1
	}
	log.info("closed")
	return 0
}

// serve answers until stopping ends; then it takes no more connections, ends the event streams, and
// lets the other requests finish.
func serve(stopping context.Context, release func(), d *desk) error {
	listener, err := net.Listen("tcp", d.options.listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           newHandler(d),
		ConnContext:       withConn,
		ErrorLog:          d.log.standard(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	server.RegisterOnShutdown(d.events.close)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	d.log.info("listening", "url", "http://"+listener.Addr().String()+"/", "erasures",
		len(d.erasures.list()))

	select {
	case err := <-failed:
		return err
	case <-stopping.Done():
	}
	release() // a second signal ends the process at once, which loses nothing either
	d.log.info("stopping")
	d.draining.Store(true)
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		d.log.warn("requests were cut off", "error", err)
		server.Close()
	}
	return nil
}

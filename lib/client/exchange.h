/* SPDX-License-Identifier: MIT */
#ifndef USCHED_CLIENT_EXCHANGE_H
#define USCHED_CLIENT_EXCHANGE_H

/*
 * One request and its answer, with the daemon or with a runtime.
 *
 *	connect -> who is it (SO_PEERCRED) -> request -> answer(s) -> close
 *
 * A connection lives for one request: a runtime serves few observers at a time, and a
 * daemon that was restarted needs no special case. One deadline covers all of it.
 *
 * The functions here set no failure text; they leave a reason, a constant string, in
 * the exchange. Their caller knows what it was for.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/session.h"
#include "shm/wire.h"

enum { USCHED_EXCHANGE_DESCRIPTORS = 2 };

struct usched_exchange {
	int socket;
	uint64_t deadline_ns;
	uint32_t serial;
	struct ucred peer;		/* of who listens, as the kernel knows it	*/
	const char *reason;		/* why the last call failed; never NULL then	*/
	int absent;			/* 1: nobody listens at the address		*/
	unsigned int descriptors;	/* that came with the last answer; ours to close */
	int descriptor[USCHED_EXCHANGE_DESCRIPTORS];
	union {
		union usched_message_any message;
		uint8_t bytes[1024];	/* a later minor version may append */
	} answer;
};

/**
 * usched_exchange_open() - connect
 * @address:	of the listener
 * @bytes:	length of @address
 * @timeout_ns:	for the whole exchange
 *
 * Return:	0
 * Errors:	-errno of socket(2) and connect(2); -ETIMEDOUT it does not accept
 * Ownership:	call usched_exchange_close() in any case.
 */
int usched_exchange_open(struct usched_exchange *exchange, const struct sockaddr_un *address,
			 socklen_t bytes, uint64_t timeout_ns);

/**
 * usched_exchange_send() - send a request
 * @message:	its header is filled in here
 * @type:	USCHED_MESSAGE_*
 * @bytes:	of the whole message
 * @serial:	another one for each request
 *
 * Return:	0; -ETIMEDOUT; -EPIPE; -errno of send(2)
 */
int usched_exchange_send(struct usched_exchange *exchange, struct usched_message *message,
			 uint16_t type, size_t bytes, uint32_t serial);

/**
 * usched_exchange_receive() - wait for the answer
 * @type:	what is expected; the one that came is in answer.message.header.type
 * @other:	another type that is right too; 0: none
 * @descriptors: how many must come with @type
 *
 * Return:	0: the answer has one of the two types, or it is an ERROR
 * Errors:	-ETIMEDOUT; -EPIPE the peer hung up; -EBADMSG it is no valid answer
 * Ownership:	descriptors of the answer before are closed; those that the caller takes
 *		over must be replaced by -1 in exchange.descriptor.
 */
int usched_exchange_receive(struct usched_exchange *exchange, uint16_t type, uint16_t other,
			    unsigned int descriptors);

/** usched_exchange_close() - hang up and close what came. */
void usched_exchange_close(struct usched_exchange *exchange);

/** usched_exchange_code() - the errno value of an ERROR answer, brought to client.h's table. */
int usched_exchange_code(const struct usched_exchange *exchange);

/**
 * usched_daemon_request() - one request to the daemon, and its first answer
 * @what:	what fails if this does, for the failure's first line
 *
 * Return:	0: the answer is of @type or @other
 * Errors:	-ENOTCONN no daemon there, or not the daemon; -EACCES; what the daemon
 *		answered. The failure is set.
 * Ownership:	call usched_exchange_close() in any case.
 */
int usched_daemon_request(struct usched_client *client, struct usched_exchange *exchange,
			  struct usched_message *message, uint16_t type, size_t bytes,
			  uint16_t answer, uint16_t other, unsigned int descriptors,
			  const char *what);

#endif /* USCHED_CLIENT_EXCHANGE_H */

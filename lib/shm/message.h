/* SPDX-License-Identifier: MIT */
#ifndef USCHED_SHM_MESSAGE_H
#define USCHED_SHM_MESSAGE_H

/*
 * One datagram of wire.h at a time, with up to two descriptors, never blocking. What arrives is
 * checked here against the sizes that its type must have; its contents are the reader's to check.
 *
 * Neither malloc nor stdio.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "shm/wire.h"

enum { USCHED_MESSAGE_DESCRIPTORS = 2 };

/* Bytes in the name of the daemon's directory, without the final zero: DIR/control.sock has to fit
   into a socket's address. Programs, the daemon and observers refuse a longer one alike. */
enum { USCHED_DIRECTORY_MAX = 90 };
_Static_assert(USCHED_DIRECTORY_MAX + sizeof("/control.sock") <=
	       sizeof(((struct sockaddr_un *)0)->sun_path), "a name that is allowed fits");

/** usched_message_bytes() - the one right length of a message of this type; 0: no such type */
uint32_t usched_message_bytes(uint16_t type);

/** usched_message_check() - is this a whole message? Return: 0; -EPROTO; -EPROTONOSUPPORT major */
int usched_message_check(const void *data, size_t bytes);

/** usched_message_init() - zero a message and fill its header */
void usched_message_init(union usched_message_any *message, enum usched_message_type type,
			 uint32_t serial);

/**
 * usched_message_send() - as usched_message_init() made it
 * @descriptors: sent along; the caller keeps them
 *
 * Return:	0; -EAGAIN the peer does not read; -EPIPE, -ECONNRESET it is gone
 */
int usched_message_send(int socket, const union usched_message_any *message,
			const int *descriptors, unsigned int count);

/**
 * usched_message_receive() - the next one
 * @descriptors: room for USCHED_MESSAGE_DESCRIPTORS; NULL: none are accepted. The caller's.
 * @count:	set to how many came; NULL with @descriptors
 *
 * Descriptors that are not accepted are closed, and the message refused.
 *
 * Return:	0; -EAGAIN nothing there; -ECONNRESET the peer is gone; -EPROTO, -EPROTONOSUPPORT a
 *		wrong message, taken off the socket
 */
int usched_message_receive(int socket, union usched_message_any *message, int *descriptors,
			   unsigned int *count);

/**
 * usched_message_hang_up() - end a connection or a listener, and close it; negative: nothing happens
 *
 * The peer sees the end, also if a child of fork has a copy of the descriptor.
 */
void usched_message_hang_up(int socket);

/** usched_message_error() - make an ERROR reply; @error is a positive errno value */
void usched_message_error(union usched_message_any *message, uint32_t serial, int error,
			  const char *text);

/** usched_address_path() - DIR/NAME. Return: 0; -ENAMETOOLONG */
int usched_address_path(struct sockaddr_un *address, socklen_t *bytes, const char *directory,
			const char *name);

/** usched_address_embedded() - the abstract name of a process's runtime; @ordinal from 1 */
void usched_address_embedded(struct sockaddr_un *address, socklen_t *bytes, uid_t uid, pid_t pid,
			     unsigned int ordinal);

#endif /* USCHED_SHM_MESSAGE_H */

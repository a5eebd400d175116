/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_ERRNO_H
#define USCHED_BASE_ERRNO_H

/*
 * errno for code that may go on in another thread between the two calls.
 *
 * A compiler computes the address of errno once and keeps it across calls. Each of these finds it
 * anew, in the thread that it is called in.
 *
 * Callable from: anywhere, signal handler.
 */
int usched_errno_get(void);
void usched_errno_set(int value);

#endif /* USCHED_BASE_ERRNO_H */

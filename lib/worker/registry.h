/* SPDX-License-Identifier: MIT */
#ifndef USCHED_WORKER_REGISTRY_H
#define USCHED_WORKER_REGISTRY_H

/*
 * The runtimes of the process, by the number in their fibers' handles. A handle says all that is
 * needed to find its fiber, so that join needs no runtime. Nothing else in the library is global to
 * the process but what the kernel makes so: signal dispositions and the alternate stack.
 */

#include <stdint.h>

struct usched_scheduler;

/** usched_registry_add() - a number from 1 to 63 for a runtime. Return: 0; -EMFILE. Any thread. */
int usched_registry_add(struct usched_scheduler *scheduler, uint32_t *number);

/** usched_registry_remove() - nobody uses its handles any more. Any thread. */
void usched_registry_remove(uint32_t number);

/** usched_registry_forget() - in a child of fork: there are none */
void usched_registry_forget(void);

/** usched_registry_find() - NULL: there is no such runtime. Callable from anywhere. */
struct usched_scheduler *usched_registry_find(unsigned int number);

#endif /* USCHED_WORKER_REGISTRY_H */

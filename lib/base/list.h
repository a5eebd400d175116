/* SPDX-License-Identifier: MIT */
#ifndef USCHED_BASE_LIST_H
#define USCHED_BASE_LIST_H

/*
 * A doubly linked ring whose links live inside the members.
 *
 *	head <-> a <-> b <-> c <-> head	an empty list is a head that points to itself
 *
 * Invariants
 *	I1  a link that is in no list points to itself, so removing it twice is harmless;
 *	I2  a link is in at most one list.
 *
 * No locking: the owner of the list says what guards it.
 */

#include <stdbool.h>
#include <stddef.h>

struct usched_list {
	struct usched_list *next, *previous;
};

/* The structure that a link is a member of. */
#define usched_container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* Visit all links in order; the body must not remove the link it stands on. */
#define usched_list_for_each(link, head) \
	for ((link) = (head)->next; (link) != (head); (link) = (link)->next)

/* Makes an empty list of a head, or a link that is in no list. */
static inline void usched_list_init(struct usched_list *list)
{
	list->next = list;
	list->previous = list;
}

/* For a head: no members. For a link: in no list. */
static inline bool usched_list_empty(const struct usched_list *list)
{
	return list->next == list;
}

static inline void usched_list_insert_between(struct usched_list *link,
					      struct usched_list *previous,
					      struct usched_list *next)
{
	link->previous = previous;
	link->next = next;
	previous->next = link;
	next->previous = link;
}

static inline void usched_list_push_front(struct usched_list *head, struct usched_list *link)
{
	usched_list_insert_between(link, head, head->next);
}

static inline void usched_list_push_back(struct usched_list *head, struct usched_list *link)
{
	usched_list_insert_between(link, head->previous, head);
}

static inline void usched_list_remove(struct usched_list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	usched_list_init(link);
}

/* Takes the first link out; NULL when there is none. */
static inline struct usched_list *usched_list_pop_front(struct usched_list *head)
{
	struct usched_list *link = head->next;

	if (link == head)
		return NULL;
	usched_list_remove(link);
	return link;
}

#endif /* USCHED_BASE_LIST_H */

/* SPDX-License-Identifier: MIT */
#ifndef USCHED_TESTS_STORM_EXCEPTIONS_H
#define USCHED_TESTS_STORM_EXCEPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

#define EXCEPTIONS_FRAMES 50

/**
 * storm_throw() - throw @value through 50 frames, each of which catches it, adds one, throws it
 *	again, and has a destructor that adds one to another count
 *
 * Return:	@value + 100: what was caught at the end, and what the destructors counted
 * May switch:	yes, in handlers and destructors
 */
unsigned int storm_throw(unsigned int value);

#ifdef __cplusplus
}
#endif

#endif /* USCHED_TESTS_STORM_EXCEPTIONS_H */

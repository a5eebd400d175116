/* SPDX-License-Identifier: MIT */
/*
 * The date is computed here: gmtime_r(3) takes the C library's time zone lock, and every response
 * has a date.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "response.h"

enum { DATE_BYTES = 96 };	/* 30 for every year that will come; gcc counts with any number */

static const char *name_of(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 417: return "Expectation Failed";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default:  return "Internal Server Error";
	}
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" of a time after 1970. */
static void format_date(char date[DATE_BYTES], time_t now)
{
	static const char weekdays[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	static const unsigned int lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned long days = (unsigned long)now / 86400, seconds = (unsigned long)now % 86400;
	unsigned long weekday = days % 7;
	unsigned int year = 1970, month = 0;

	for (;; year++) {
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		unsigned long length = leap ? 366 : 365;

		if (days >= length) {
			days -= length;
			continue;
		}
		for (;; month++) {
			length = lengths[month] + (leap && month == 1 ? 1 : 0);
			if (days < length)
				break;
			days -= length;
		}
		break;
	}
	snprintf(date, DATE_BYTES, "%s, %02lu %s %04u %02lu:%02lu:%02lu GMT", weekdays[weekday], days + 1,
		 months[month], year, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void response_text(struct response *response, int status, const char *text)
{
	int bytes;

	memset(response, 0, sizeof(*response));
	if (status >= 400)
		bytes = snprintf(response->text, sizeof(response->text), "%d %s: %s\n", status,
				 name_of(status), text);
	else
		bytes = snprintf(response->text, sizeof(response->text), "%s\n", text);
	response->status = status;
	response->type = "text/plain; charset=utf-8";
	response->body = response->text;
	response->body_bytes = (size_t)bytes < sizeof(response->text) ? (size_t)bytes :
								sizeof(response->text) - 1;
}

void response_own(struct response *response, const char *type, void *body, size_t bytes)
{
	memset(response, 0, sizeof(*response));
	response->status = 200;
	response->type = type;
	response->body = body;
	response->body_bytes = bytes;
	response->owned = body;
}

size_t response_head(const struct response *response, char *head, bool keep_alive)
{
	struct timespec now = { 0, 0 };
	char date[DATE_BYTES];
	int bytes;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	format_date(date, now.tv_sec);
	bytes = snprintf(head, RESPONSE_HEAD_BYTES,
			 "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: usched-httpd\r\n"
			 "Content-Type: %s\r\nContent-Length: %zu\r\n%s%s%sConnection: %s\r\n\r\n",
			 response->status, name_of(response->status), date, response->type,
			 response->body_bytes, response->allow != NULL ? "Allow: " : "",
			 response->allow != NULL ? response->allow : "",
			 response->allow != NULL ? "\r\n" : "", keep_alive ? "keep-alive" : "close");
	return (size_t)bytes;
}

void response_release(struct response *response)
{
	free(response->owned);
	response->owned = NULL;
	response->body = NULL;
	response->body_bytes = 0;
}

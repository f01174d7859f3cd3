/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_DNS_H
#define ARROW_NET_DNS_H

/* Messages of the DNS (RFC 1035), as far as a resolver of local names needs them. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define DNS_HEADER 12u
#define DNS_NAME_MAX 256u    /* as text, with a NUL */
#define DNS_UDP_MAX 512u     /* of an answer that everybody takes */
#define DNS_ANSWER_MAX 2048u /* room for any answer that is made here */

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28 };
enum dns_code { DNS_OK = 0, DNS_FORMAT = 1, DNS_FAILED = 2, DNS_NO_NAME = 3, DNS_REFUSED = 5 };

struct dns_question {
	char name[DNS_NAME_MAX]; /* in lower case, with dots between the labels */
	bool plain;              /* no label has a dot or a byte that is not printed */
	uint16_t type, class;
	size_t end; /* offset behind the question */
};

/* True for a message that asks, false for one that answers; RFC 1035, 4.1.1. */
bool dns_is_query(const uint8_t message[DNS_HEADER]);

/* Reads the one question of a query. Returns 0, or -EBADMSG for anything else. */
int dns_parse_query(
	const uint8_t *query, size_t size, struct dns_question *question) ARROW_MUST_CHECK;

/* The address that the name of a PTR question stands for. Returns 0 or -EINVAL. */
int dns_parse_reverse(const char *name, struct net_address *address) ARROW_MUST_CHECK;

/* The code of an answer, DNS_FAILED for what is none. */
enum dns_code dns_answer_code(const uint8_t *answer, size_t size);

/*
 * Writes an answer without records. One without a question has only the header.
 * Returns its size.
 */
size_t dns_write_code(const uint8_t *query, const struct dns_question *question, enum dns_code code,
	uint8_t answer[DNS_ANSWER_MAX]);

/*
 * Writes the addresses of the family that is asked for, from number `first` on and then from the
 * beginning; none at all says that the name has others.
 *   max: bytes; an answer that is cut says so
 */
size_t dns_write_addresses(const uint8_t *query, const struct dns_question *question,
	const struct net_address *addresses, size_t n, size_t first, size_t max,
	uint8_t answer[DNS_ANSWER_MAX]);

/* Writes the name that an address has. */
size_t dns_write_name(const uint8_t *query, const struct dns_question *question, const char *name,
	uint8_t answer[DNS_ANSWER_MAX]);

#endif

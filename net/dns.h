/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_NET_DNS_H
#define ARROW_NET_DNS_H

/*
 * Messages of the DNS (RFC 1035), as far as a resolver of local names needs them. Pure. Names are
 * read and written by the C library. Its ns_initparse() and what goes with it are in libresolv,
 * which every `arrow` would load, and read records that are of no interest here.
 */

#include <arpa/nameser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define DNS_ANSWER_MAX 2048u /* room for any answer that is made here */

struct dns_question {
	char name[NS_MAXDNAME]; /* in lower case; odd bytes in labels are escaped by a '\\' */
	uint16_t type, class;   /* of ns_type, ns_class */
	size_t end;             /* offset behind the question */
};

/* True for a message that asks, false for one that answers; RFC 1035, 4.1.1. */
bool dns_is_query(const uint8_t message[NS_HFIXEDSZ]);

/* Reads the one question of a query. Returns 0, or -EBADMSG for anything else. */
int dns_parse_query(
	const uint8_t *query, size_t size, struct dns_question *question) ARROW_MUST_CHECK;

/* The address that the name of a PTR question stands for. Returns 0 or -EINVAL. */
int dns_parse_reverse(const char *name, struct net_address *address) ARROW_MUST_CHECK;

/* The code of an answer, ns_r_servfail for what is none. */
ns_rcode dns_answer_code(const uint8_t *answer, size_t size);

/*
 * Writes an answer without records. One without a question has only the header.
 * Returns its size.
 */
size_t dns_write_code(const uint8_t *query, const struct dns_question *question, ns_rcode code,
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

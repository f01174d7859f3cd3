// SPDX-License-Identifier: Apache-2.0
#include "net/dns.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_ANSWER 0x80u /* of the third byte */
#define FLAG_OPCODE 0x78u
#define FLAG_AUTHORITY 0x04u
#define FLAG_CUT 0x02u
#define FLAG_RECURSION 0x01u
#define FLAG_CAN_RECURSE 0x80u /* of the fourth byte */
#define RECORD 12u             /* bytes of a record before its data */

bool dns_is_query(const uint8_t message[NS_HFIXEDSZ])
{
	return !(message[2] & FLAG_ANSWER);
}

int dns_parse_query(const uint8_t *query, size_t size, struct dns_question *q)
{
	const uint8_t *at = query + NS_HFIXEDSZ, *end = query + size;
	int n;

	*q = (struct dns_question){0};
	if (size < NS_HFIXEDSZ || (query[2] & (FLAG_ANSWER | FLAG_OPCODE)) || query[4] != 0 ||
		query[5] != 1)
		return -EBADMSG;
	n = ns_name_uncompress(query, end, at, q->name, sizeof(q->name));
	if (n < 0 || end - at < n + NS_QFIXEDSZ)
		return -EBADMSG;
	for (char *c = q->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	at += n;
	NS_GET16(q->type, at);
	NS_GET16(q->class, at);
	q->end = (size_t)(at - query);
	return 0;
}

/* Four numbers, the last one first. */
static int dns_reverse4(const char *name, struct net_address *a)
{
	for (int i = 3; i >= 0; i--) {
		char *end;
		unsigned long byte = strtoul(name, &end, 10);

		if (!isdigit((unsigned char)*name) || byte > 255 || *end != '.')
			return -EINVAL;
		a->bytes[i] = (uint8_t)byte;
		name = end + 1;
	}
	return strcmp(name, "in-addr.arpa") == 0 ? 0 : -EINVAL;
}

/* 32 digits, the last one first. */
static int dns_reverse6(const char *name, struct net_address *a)
{
	for (int i = 31; i >= 0; i--, name += 2) {
		const char digit[] = {name[0], '\0'};

		if (!isxdigit((unsigned char)name[0]) || name[1] != '.')
			return -EINVAL;
		a->bytes[i / 2] |= (uint8_t)(strtoul(digit, NULL, 16) << (i % 2 ? 0 : 4));
	}
	return strcmp(name, "ip6.arpa") == 0 ? 0 : -EINVAL;
}

int dns_parse_reverse(const char *name, struct net_address *address)
{
	*address = (struct net_address){.family = 4, .prefix = 32};
	if (dns_reverse4(name, address) == 0)
		return 0;
	*address = (struct net_address){.family = 6, .prefix = 128};
	return dns_reverse6(name, address);
}

ns_rcode dns_answer_code(const uint8_t *answer, size_t size)
{
	return size < NS_HFIXEDSZ || !(answer[2] & FLAG_ANSWER) ? ns_r_servfail
								: (ns_rcode)(answer[3] & 0x0f);
}

size_t dns_write_code(const uint8_t *query, const struct dns_question *question, ns_rcode code,
	uint8_t answer[DNS_ANSWER_MAX])
{
	size_t size = question ? question->end : NS_HFIXEDSZ;

	memcpy(answer, query, size);
	answer[2] = (uint8_t)(FLAG_ANSWER | (query[2] & (FLAG_OPCODE | FLAG_RECURSION)) |
			      (code == ns_r_noerror || code == ns_r_nxdomain ? FLAG_AUTHORITY : 0));
	answer[3] = (uint8_t)(FLAG_CAN_RECURSE | code);
	memset(answer + 4, 0, NS_HFIXEDSZ - 4);
	answer[5] = question ? 1 : 0;
	return size;
}

/*
 * A record of the name that was asked for, which may be kept for no time at all. Returns the size
 * of the answer with it.
 */
static size_t dns_write_record(uint8_t answer[DNS_ANSWER_MAX], size_t at,
	const struct dns_question *q, const uint8_t *data, size_t size)
{
	uint8_t *to = answer + at;

	NS_PUT16(NS_CMPRSFLGS << 8 | NS_HFIXEDSZ, to);
	NS_PUT16(q->type, to);
	NS_PUT16(q->class, to);
	NS_PUT32(0, to);
	NS_PUT16(size, to);
	memcpy(to, data, size);
	answer[7]++; /* of which there are 32 addresses at most */
	return at + RECORD + size;
}

size_t dns_write_addresses(const uint8_t *query, const struct dns_question *q,
	const struct net_address *addresses, size_t n, size_t first, size_t max,
	uint8_t answer[DNS_ANSWER_MAX])
{
	uint8_t family = q->type == ns_t_a ? 4 : q->type == ns_t_aaaa ? 6 : 0;
	size_t size = dns_write_code(query, q, ns_r_noerror, answer);

	for (size_t i = 0; i < n; i++) {
		const struct net_address *a = &addresses[(first + i) % n];
		size_t bytes = net_address_bits(a->family) / 8;

		if (a->family != family)
			continue;
		if (size + RECORD + bytes > (max < DNS_ANSWER_MAX ? max : DNS_ANSWER_MAX)) {
			answer[2] |= FLAG_CUT;
			break;
		}
		size = dns_write_record(answer, size, q, a->bytes, bytes);
	}
	return size;
}

size_t dns_write_name(const uint8_t *query, const struct dns_question *q, const char *name,
	uint8_t answer[DNS_ANSWER_MAX])
{
	uint8_t data[NS_MAXCDNAME];
	int n = ns_name_compress(name, data, sizeof(data), NULL, NULL);

	if (n < 0)
		return dns_write_code(query, q, ns_r_nxdomain, answer);
	return dns_write_record(
		answer, dns_write_code(query, q, ns_r_noerror, answer), q, data, (size_t)n);
}

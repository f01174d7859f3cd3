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
#define LABEL_MAX 63u
#define RECORD 12u /* bytes of a record before its data */

static uint16_t dns_get(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void dns_put(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

bool dns_is_query(const uint8_t message[DNS_HEADER])
{
	return !(message[2] & FLAG_ANSWER);
}

int dns_parse_query(const uint8_t *query, size_t size, struct dns_question *q)
{
	size_t at = DNS_HEADER, used = 0;

	*q = (struct dns_question){.plain = true};
	if (size < DNS_HEADER || (query[2] & (FLAG_ANSWER | FLAG_OPCODE)) ||
		dns_get(query + 4) != 1)
		return -EBADMSG;
	for (;;) {
		size_t label = at < size ? query[at++] : LABEL_MAX + 1;

		if (label == 0)
			break;
		/* A question is the first name: there is nothing that it could point to. */
		if (label > LABEL_MAX || at + label > size || used + label + 2 > DNS_NAME_MAX)
			return -EBADMSG;
		if (used)
			q->name[used++] = '.';
		for (size_t i = 0; i < label; i++) {
			uint8_t byte = query[at++];

			q->plain &= byte > ' ' && byte < 0x7f && byte != '.';
			q->name[used++] = (char)tolower(byte);
		}
	}
	if (at + 4 > size)
		return -EBADMSG;
	q->type = dns_get(query + at);
	q->class = dns_get(query + at + 2);
	q->end = at + 4;
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

enum dns_code dns_answer_code(const uint8_t *answer, size_t size)
{
	return size < DNS_HEADER || !(answer[2] & FLAG_ANSWER) ? DNS_FAILED
							       : (enum dns_code)(answer[3] & 0x0f);
}

size_t dns_write_code(const uint8_t *query, const struct dns_question *question, enum dns_code code,
	uint8_t answer[DNS_ANSWER_MAX])
{
	size_t size = question ? question->end : DNS_HEADER;

	memcpy(answer, query, size);
	answer[2] = (uint8_t)(FLAG_ANSWER | (query[2] & (FLAG_OPCODE | FLAG_RECURSION)) |
			      (code == DNS_OK || code == DNS_NO_NAME ? FLAG_AUTHORITY : 0));
	answer[3] = (uint8_t)(FLAG_CAN_RECURSE | code);
	dns_put(answer + 4, question ? 1 : 0);
	memset(answer + 6, 0, DNS_HEADER - 6);
	return size;
}

/* The head of a record of the name that was asked for, which may be kept for no time at all. */
static uint8_t *dns_write_record(
	uint8_t answer[DNS_ANSWER_MAX], size_t at, const struct dns_question *q, size_t size)
{
	uint8_t *record = answer + at;

	dns_put(record, 0xc000 | DNS_HEADER);
	dns_put(record + 2, q->type);
	dns_put(record + 4, q->class);
	memset(record + 6, 0, 4);
	dns_put(record + 10, size);
	dns_put(answer + 6, dns_get(answer + 6) + 1u);
	return record + RECORD;
}

size_t dns_write_addresses(const uint8_t *query, const struct dns_question *q,
	const struct net_address *addresses, size_t n, size_t first, size_t max,
	uint8_t answer[DNS_ANSWER_MAX])
{
	uint8_t family = q->type == DNS_A ? 4 : q->type == DNS_AAAA ? 6 : 0;
	size_t size = dns_write_code(query, q, DNS_OK, answer);

	for (size_t i = 0; i < n; i++) {
		const struct net_address *a = &addresses[(first + i) % n];
		size_t bytes = net_address_bits(a->family) / 8;

		if (a->family != family)
			continue;
		if (size + RECORD + bytes > (max < DNS_ANSWER_MAX ? max : DNS_ANSWER_MAX)) {
			answer[2] |= FLAG_CUT;
			break;
		}
		memcpy(dns_write_record(answer, size, q, bytes), a->bytes, bytes);
		size += RECORD + bytes;
	}
	return size;
}

size_t dns_write_name(const uint8_t *query, const struct dns_question *q, const char *name,
	uint8_t answer[DNS_ANSWER_MAX])
{
	size_t size = dns_write_code(query, q, DNS_OK, answer), used = 0;
	uint8_t data[DNS_NAME_MAX];

	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > LABEL_MAX || used + label + 2 > sizeof(data))
			return dns_write_code(query, q, DNS_NO_NAME, answer);
		data[used++] = (uint8_t)label;
		memcpy(data + used, name, label);
		used += label;
		name += label + (name[label] == '.');
	}
	data[used++] = 0;
	memcpy(dns_write_record(answer, size, q, used), data, used);
	return size + RECORD + used;
}

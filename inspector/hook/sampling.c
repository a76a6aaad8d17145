/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sampling: which blocks are drawn.
 *
 * Every byte is drawn with the same small chance 1/sample_bytes, independent of all others, and a
 * block is recorded when one of its bytes is. So the distance to the next drawn byte is
 * exponentially distributed, a block of n bytes is recorded with p = 1 - exp(-n/sample_bytes), and
 * counting it as 1/p blocks makes every sum over any set of blocks unbiased. The exponential
 * functions are written out here: libm would be a dependency.
 */
#include <string.h>

#include "hook/hook.h"

/* ln(v) for 0 < v <= 1. v = m * 2^e, m in [1/sqrt 2, sqrt 2); ln m = 2 artanh((m-1)/(m+1)). */
static double natural_log(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	int e = (int)(bits >> 52 & 0x7ff) - 1022;
	bits = (bits & ~(UINT64_C(0x7ff) << 52)) | UINT64_C(1022) << 52;
	double m; /* [1/2, 1) */

	memcpy(&m, &bits, sizeof(m));
	if (m < 0.70710678118654752) {
		m *= 2;
		e--;
	}
	double z = (m - 1) / (m + 1), z2 = z * z, sum = 0;

	for (int k = 15; k >= 1; k -= 2)
		sum = sum * z2 + 1.0 / k;
	return 2 * z * sum + e * 0.69314718055994531;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/*
 * The number of bytes that pass before the drawn one: the whole part of an exponential draw, whose
 * chance to be at least n is exp(-n/sample_bytes) exactly.
 */
uint64_t insp_hook_draw(uint64_t *random)
{
	double u = ((double)(next_random(random) >> 11) + 1) * 0x1p-53; /* (0, 1] */

	return (uint64_t)(-natural_log(u) * (double)insp_hook_header.sample_bytes);
}

double insp_hook_chance(uint64_t size_bytes)
{
	double x = (double)size_bytes / (double)insp_hook_header.sample_bytes;
	int halved = 0;

	if (x > 40)
		return 1;
	while (x > 0.25) {
		x *= 0.5;
		halved++;
	}
	/* q = 1 - exp(-x) as a series, then 1 - exp(-2x) = q (2 - q). */
	double q = 0;

	for (int k = 12; k >= 1; k--)
		q = x / k * (1 - q);
	for (; halved; halved--)
		q *= 2 - q;
	return q > 0 ? q : 1;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* frames_cxx: a member function of a template in a namespace, below a lambda, waits. */
/* build: -O2 -fno-optimize-sibling-calls */
#include <cstdio>
#include <unistd.h>
#include <vector>

static volatile int sink, forever = 1;

namespace shop
{
template <typename T> struct basket {
	std::vector<T> items;

	__attribute__((noinline)) int wait_for(const T &what, int k)
	{
		printf("{\"ready\":true,\"pid\":%d}\n", (int)getpid());
		fflush(stdout);
		while (forever)
			pause();
		return k + (int)what + (int)items.size();
	}
};

__attribute__((noinline)) int buy(basket<long> &b, unsigned char n)
{
	auto go = [&b](int k) __attribute__((noinline)) { return b.wait_for(5, k) + sink; };

	return go(n) + sink;
}
} // namespace shop

int main()
{
	shop::basket<long> b;

	b.items.push_back(3);
	return shop::buy(b, 7) + sink;
}

// 04: a prefix is computed once. Introduces the cache: what it held of a prompt ("usage.cached_tokens"), warming it without
// generating, salts that keep tenants apart, and its statistics. usage: 04_prefix_reuse [MODEL]
package main

import (
	"fmt"
	"strings"

	"deepseam"
	. "samples/internal/sample"
)

// What all the prompts begin with: a style guide, the head of a file, a conversation.
var shared = strings.Repeat("/* All names are lower case. */\n", 10)

func ask(session *deepseam.Session, question string, params deepseam.Params) uint64 {
	params.MaxTokens = 4
	result := Must(session.Generate(Background, deepseam.Text(shared+question), params))
	defer result.Close()
	info := Must(result.Info())
	defer info.Close()
	cached := Number(info, "usage.cached_tokens")
	if question == "" {
		question = "(warming)"
	}
	all := Number(info, "usage.prompt_tokens")
	fmt.Printf("%-28s %4d of %4d prompt tokens were in the cache\n", question, cached, all)
	return cached
}

func main() {
	Run(func(runtime *deepseam.Runtime) int {
		cache := Must(runtime.OpenCache(deepseam.CacheOptions{RAMBytes: 64 << 20}))
		defer cache.Close()
		model := Must(runtime.Open(Background, deepseam.ModelOptions{Source: Path(), Cache: cache}))
		defer model.Close()
		one := Must(model.NewSession(deepseam.SessionOptions{}))
		defer one.Close()
		two := Must(model.NewSession(deepseam.SessionOptions{}))
		defer two.Close()
		ask(one, "", deepseam.Params{PrefillOnly: true})
		warm := ask(one, "int add(", deepseam.Params{})
		other := ask(two, "int sub(", deepseam.Params{}) // sessions share what they compute
		foreign := ask(two, "int add(", deepseam.Params{CacheSalt: "another tenant"})
		stats := Must(cache.Stats())
		defer stats.Close()
		fmt.Printf("%d lookups, %d tokens were not computed again\n", Number(stats, "lookups"), Number(stats, "hit_tokens"))
		Check(cache.Erase("another tenant"))
		if warm > 0 && other > 0 && foreign == 0 {
			return 0
		}
		return 1
	})
}

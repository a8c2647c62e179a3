package pipefile
import ("testing";"strings";"fmt";"math/rand";"time")
func TestBrk(t *testing.T){
 pieces := []string{"a", ":", ": ", "- ", "-", "?", "? ", "\n", "\n  ", "\n ", "{", "}", "[", "]", ",", "&", "&a ", "*a", "*", "!", "!!str ", "!!map ","!!seq ", "!a ", "|", ">", "|-\n", ">2", "'", "\"", "\\", "#", " #c\n", "%YAML 1.2\n", "%TAG !! x\n", "%", "---", "---\n", "...\n", "<<: ", "~", "1", "0x", ".", "\t", " ", "é", "\u2028", "@", "`", "${{ x }}"}
 seen:=map[string]string{}
 end:=time.Now().Add(60*time.Second)
 n:=0
 for time.Now().Before(end) {
  var b strings.Builder
  for range 1+rand.Intn(14) { b.WriteString(pieces[rand.Intn(len(pieces))]) }
  s:=b.String()
  n++
  start:=time.Now()
  _,fa:=parseDocument("f",[]byte(s))
  if e:=time.Since(start); e>time.Second { fmt.Printf("SLOW %v %q\n",e,s) }
  for _,x:=range fa { if x.At.Line>strings.Count(s,"\n")+1 { k:="line "+x.Problem; if len(k)>40 {k=k[:40]}; if o,ok:=seen[k];!ok||len(s)<len(o){seen[k]=s} } }
  if fa!=nil && strings.Contains(fa.Error(),"break down") { k:=fa.Error(); if o,ok:=seen[k];!ok||len(s)<len(o){seen[k]=s} }
 }
 fmt.Println(n)
 for k,s:=range seen { fmt.Printf("%q %s\n",s,k) }
}

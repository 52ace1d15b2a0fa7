package lethe_test

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"sort"
	"strings"
	"testing"
)

// packageDoc is what godoc knows of package lethe.
func packageDoc(t *testing.T) (*doc.Package, *token.FileSet) {
	t.Helper()
	files := token.NewFileSet()
	packages := must[map[string]*ast.Package](t)(parser.ParseDir(files, ".", func(f os.FileInfo) bool {
		return !strings.HasSuffix(f.Name(), "_test.go")
	}, parser.ParseComments))
	return doc.New(packages["lethe"], "lethe", 0), files
}

// The public surface is surface.txt. To renew it: LETHE_WRITE_SURFACE=FILE go test -run Surface
func TestSurface(t *testing.T) {
	p, files := packageDoc(t)
	var lines []string
	add := func(node any) {
		text := bytes.Buffer{}
		ok(t, printer.Fprint(&text, files, node))
		lines = append(lines, strings.Join(strings.Fields(text.String()), " "))
	}
	functions := func(list []*doc.Func) {
		for _, f := range list {
			f.Decl.Body, f.Decl.Doc = nil, nil
			add(f.Decl)
		}
	}
	values := func(list []*doc.Value) {
		for _, value := range list {
			for _, spec := range value.Decl.Specs {
				spec := spec.(*ast.ValueSpec)
				spec.Doc = nil
				if spec.Names[0].IsExported() {
					lines = append(lines, value.Decl.Tok.String()+" "+sourceOf(t, files, spec))
				}
			}
		}
	}
	functions(p.Funcs)
	values(p.Consts)
	values(p.Vars)
	for _, kind := range p.Types {
		functions(kind.Funcs)
		functions(kind.Methods)
		values(kind.Consts)
		values(kind.Vars)
		spec := kind.Decl.Specs[0].(*ast.TypeSpec)
		structure, isStruct := spec.Type.(*ast.StructType)
		if !isStruct {
			lines = append(lines, "type "+sourceOf(t, files, spec))
			continue
		}
		lines = append(lines, "type "+spec.Name.Name+" struct")
		for _, field := range structure.Fields.List {
			if len(field.Names) > 0 && field.Names[0].IsExported() {
				lines = append(lines, "field "+spec.Name.Name+"."+field.Names[0].Name+" "+
					sourceOf(t, files, field.Type))
			}
		}
	}
	sort.Strings(lines)
	surface := strings.Join(lines, "\n") + "\n"
	if to := os.Getenv("LETHE_WRITE_SURFACE"); to != "" {
		ok(t, os.WriteFile(to, []byte(surface), 0o666))
		return
	}
	if golden := string(must[[]byte](t)(os.ReadFile("surface.txt"))); golden != surface {
		t.Errorf("the public surface is not surface.txt but\n%s", surface)
	}
}

func sourceOf(t *testing.T, files *token.FileSet, node any) string {
	t.Helper()
	text := bytes.Buffer{}
	ok(t, printer.Fprint(&text, files, node))
	return strings.Join(strings.Fields(text.String()), " ")
}

// Every exported function, type, method, field and group of values is documented.
func TestDocumentation(t *testing.T) {
	p, _ := packageDoc(t)
	want := func(what, text string) {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s has no documentation", what)
		}
	}
	functions := func(of string, list []*doc.Func) {
		for _, f := range list {
			want(of+f.Name, f.Doc)
			if !strings.HasPrefix(f.Doc, f.Name+" ") {
				t.Errorf("the documentation of %s%s does not begin with its name", of, f.Name)
			}
		}
	}
	values := func(list []*doc.Value) {
		for _, value := range list {
			want(strings.Join(value.Names, ", "), value.Doc)
		}
	}
	want("package lethe", p.Doc)
	functions("", p.Funcs)
	values(p.Consts)
	values(p.Vars)
	for _, kind := range p.Types {
		want(kind.Name, kind.Doc)
		functions("", kind.Funcs)
		functions(kind.Name+".", kind.Methods)
		values(kind.Consts)
		values(kind.Vars)
		structure, isStruct := kind.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
		if !isStruct {
			continue
		}
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				if name.IsExported() {
					want(kind.Name+"."+name.Name, field.Doc.Text())
				}
			}
		}
	}
}

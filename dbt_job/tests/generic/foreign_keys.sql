{# Every key of a fact finds its dimension row: one statement for all keys of the fact. keys: {column: dimension model}, where
   the dimension's key column has the name given in `named` (default: the fact's column). #}
{% test foreign_keys(model, keys, named={}) %}
{% for column, dimension in keys.items() %}
select '{{ column }}' as column_name, cast(f.{{ column }} as string) as key_value, count(*) as row_count
from {{ model }} as f
left join {{ ref(dimension) }} as d on d.{{ named.get(column, column) }} = f.{{ column }}
where d.{{ named.get(column, column) }} is null
group by 1, 2
{{ 'union all' if not loop.last }}
{% endfor %}
{% endtest %}

{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'campaign_id'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.campaigns') -%}
{%- set columns = {
    'campaign_name': 'campaign_name', 'channel': 'channel', 'objective': 'lower(objective)', 'status': 'lower(status)',
    'start_date': 'start_date', 'end_date': 'end_date', 'budget': 'budget', 'currency': 'upper(currency)',
    'updated_at': 'updated_at'} %}
{{ current_rows('crm.campaigns', versions('crm.campaigns', ['campaign_id'], columns, slices), ['campaign_id'], columns | list, slices) }}
